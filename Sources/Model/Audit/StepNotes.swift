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
}

/// Where two computations of a step part first.
struct Parting: Equatable {
  /// The stage's number in the step's order.
  let stage: Int
  /// Workers that wrote something else in it.
  let workers: [Int]

  /// Nil if they are the same.
  init?(_ a: [[UInt64]], _ b: [[UInt64]]) {
    let stages = max(a.map(\.count).max() ?? 0, b.map(\.count).max() ?? 0)
    for stage in 0..<stages {
      let workers = a.indices.filter {
        a[$0].count <= stage || b[$0].count <= stage || a[$0][stage] != b[$0][stage]
      }
      if !workers.isEmpty {
        (self.stage, self.workers) = (stage, workers)
        return
      }
    }
    return nil
  }
}
