import Synchronization
import Tensor

/// Checksums of what each of a rank's workers wrote in a step, stage by stage: two computations of a step that are the same bits
/// have the same.
package final class StepNotes: Sendable {
  /// What a worker wrote in one stage.
  struct Note: Sendable {
    let stage: Stage
    /// Of each tensor or part of one.
    let parts: [UInt64]
    /// Of all of them.
    let sum: UInt64

    init(stage: Stage, parts: [UInt64]) {
      (self.stage, self.parts) = (stage, parts)
      sum = Checksum.sum(of: parts)
    }
  }

  private let notes: Mutex<[[Note]]>

  package init(workers: Int) { notes = Mutex(Array(repeating: [], count: workers)) }

  func add(_ note: Note, worker: Int) { notes.withLock { $0[worker].append(note) } }

  /// Each worker's, in the order of the stages.
  var byWorker: [[Note]] { notes.withLock { $0 } }

  /// Each worker's sums of the stages.
  var sums: [[UInt64]] { byWorker.map { $0.map(\.sum) } }

  /// All notes in one row of numbers, for another rank: for each worker the number of its notes and these, each its stage, the
  /// number of its parts and these.
  var encoded: [UInt64] {
    byWorker.flatMap { notes in
      [UInt64(notes.count)]
        + notes.flatMap { note in
          let stage = note.stage
          return [stage.phase.rawValue, stage.microBatch, stage.part, note.parts.count].map(UInt64.init) + note.parts
        }
    }
  }

  /// Each worker's notes, of which another rank gave the numbers.
  static func decoded(_ numbers: [UInt64]) -> [[Note]] {
    var rest = numbers[...]
    func next() -> Int { Int(rest.removeFirst()) }
    var workers: [[Note]] = []
    while !rest.isEmpty {
      workers.append(
        (0..<next()).map { _ in
          let (phase, microBatch, part, count) = (next(), next(), next(), next())
          guard let phase = StepPhase(rawValue: phase) else { preconditionFailure("no phase \(phase)") }
          defer { rest = rest.dropFirst(count) }
          return Note(stage: Stage(phase: phase, microBatch: microBatch, part: part), parts: Array(rest.prefix(count)))
        })
    }
    return workers
  }
}

/// Where two computations part first.
struct Parting: Equatable {
  /// Of the checksums, in the order of computation.
  let place: Int
  /// Workers that wrote something else there.
  let workers: [Int]

  /// Nil if they are the same, as far as both go.
  init?(_ a: [[UInt64]], _ b: [[UInt64]]) {
    for place in 0..<min(a.map(\.count).min() ?? 0, b.map(\.count).min() ?? 0) {
      let workers = a.indices.filter { a[$0][place] != b[$0][place] }
      if !workers.isEmpty {
        (self.place, self.workers) = (place, workers)
        return
      }
    }
    return nil
  }
}
