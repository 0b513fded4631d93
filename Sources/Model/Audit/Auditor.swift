import Files
import Foundation
import Parallel
import Tensor

/// Computes things again on other cores until two computations agree, and tells which core computed otherwise than others.
///
/// All ranks compute together, and each keeps what was made of its own part, by whoever made it. In the first computations a
/// worker's part is on another core each time: every other time on the rank before, where all ranks have equally many workers,
/// and on its rank's cores in turn, on another NUMA node where there is one.
final class Auditor {
  /// Where a process computes something.
  struct Place {
    /// How many ranks after its own it stands for.
    let shift: Int
    /// Its workers' seats.
    let seats: [Int]
  }

  /// One computation of this rank's part.
  struct Computation {
    /// Each worker's checksums, in the order of computation.
    let sums: [[UInt64]]
    /// Where each worker's part was computed.
    let cores: [Core]
    /// How many ranks after its own each process stood for.
    let shift: Int
  }

  /// Computations of which the last agrees with an earlier one.
  struct Settlement {
    let computations: [Computation]
    let agreeing: Int
  }

  /// The steps as this process's rank takes them, and, where that can be, as the next one does.
  let steps: [TrainingStep]
  private let team: WorkerTeam

  /// How often something is computed at most.
  static let mostComputations = 8

  /// Plans the memory that it takes to compute for another rank.
  init(_ step: TrainingStep) throws {
    team = step.team
    steps = try [step] + [TrainingStep(nextTo: step)].compactMap(\.self)
  }

  /// What is planned for other ranks' parts.
  var memory: [MemoryRegion] { steps.dropFirst().flatMap(\.buffers) }

  private var ranks: Ranks { team.ranks }
  private var communicator: any Communicator { ranks.communicator }

  // MARK: Computing again

  /// Computes something again and again, each time on other cores, until two computations agree on all ranks.
  ///
  /// - Parameters:
  ///   - step: where the run is, for errors.
  ///   - earlier: checksums of a computation on the usual cores that is done already.
  ///   - keepsOwn: whether one of the two has to be the last that each rank did for itself, whose result then stands where the
  ///     run takes it from.
  ///   - compute: computes it by one of `steps`, and returns what `bringHome` gave; nil to end.
  /// - Returns: nil where `compute` ended it.
  /// - Throws: `Unsettled` if no two agree; what `compute` throws. All ranks have to call it, and get the same.
  func settle(
    step: Int, earlier: [[UInt64]]? = nil, keepsOwn: Bool = false,
    _ compute: (_ place: Place, _ before: [Computation]) throws -> [[UInt64]]?
  ) throws -> Settlement? {
    defer { team.move(toPass: 0) }
    var computations: [Computation] = []
    var culprit: Core?
    if let earlier { computations.append(Computation(sums: earlier, cores: sit(0, without: nil).cores, shift: 0)) }
    while computations.count < Self.mostComputations {
      let (place, cores) = sit(computations.count, without: culprit)
      guard let sums = try compute(place, computations) else { return nil }
      let last = Computation(sums: sums, cores: cores, shift: place.shift)
      let ownLast = computations.lastIndex { $0.shift == 0 }
      let agrees = computations.enumerated().map { i, other in
        (!keepsOwn || place.shift == 0 || i == ownLast) && last.isBeginning(of: other)
          && (isElsewhere(last, other) || !canMove(without: culprit))
      }
      computations.append(last)
      if let agreeing = everywhere(agrees) { return Settlement(computations: computations, agreeing: agreeing) }
      culprit = onlyCulprit(computations) ?? culprit
    }
    // Of all ranks only one may have a core that explains it, or a single one may be all there is.
    let only = team.seats.available.count == 1 && ranks.size == 1 ? computations[0].cores.first : nil
    throw Unsettled(step: step, computations: Self.mostComputations, culprit: culprit ?? only)
  }

  /// What was computed of each rank's part comes home to it. All ranks have to call it.
  ///
  /// - Parameter shift: how many ranks after its own each process stood for.
  func bringHome<T: BitwiseCopyable>(_ values: [T], shift: Int) -> [T] {
    communicator.pass(
      values, to: (ranks.rank + shift) % ranks.size, from: (ranks.rank + ranks.size - shift) % ranks.size)
  }

  /// The first of several things that is so on every rank; nil if there is none.
  func everywhere(_ isSo: [Bool]) -> Int? {
    let all = communicator.gather(isSo.map { $0 ? UInt8(1) : 0 })
    return isSo.indices.first { i in all.allSatisfy { $0[i] == 1 } }
  }

  /// Seats the team for the k-th computation.
  ///
  /// - Returns: where this process then computes, and on which cores its rank's part is computed.
  private func sit(_ k: Int, without culprit: Core?) -> (place: Place, cores: [Core]) {
    let suspects = culprit.flatMap { $0.rank == ranks.rank ? $0.seat : nil }.map { [$0] } ?? []
    let (seats, cpus) = (team.move(toPass: k / steps.count, without: Set(suspects)), team.seats.cpus)
    let place = Place(shift: k % steps.count, seats: seats)
    let own = seats.map { Core(rank: ranks.rank, host: Host.name, cpu: cpus[$0], seat: $0) }
    return (place, decode(bringHome(encode(own), shift: place.shift)))
  }

  /// Whether any two computations can be on different cores at all.
  private func canMove(without culprit: Core?) -> Bool {
    steps.count > 1 || team.seats.available.count { culprit?.rank != ranks.rank || $0 != culprit?.seat } > 1
  }

  private func isElsewhere(_ a: Computation, _ b: Computation) -> Bool {
    zip(a.cores, b.cores).allSatisfy { $0 != $1 }
  }

  // MARK: Who was it

  /// The one core that explains by itself where the computations part first: every worker's part is the same wherever else it
  /// was computed. Nil if there are several such cores, or none.
  private func onlyCulprit(_ computations: [Computation]) -> Core? {
    let workers = computations[0].sums.indices
    let common = computations.flatMap(\.sums).map(\.count).min() ?? 0
    func parts(_ worker: Int, at place: Int) -> Bool { Set(computations.map { $0.sums[worker][place] }).count > 1 }
    let own = (0..<common).first { place in workers.contains { parts($0, at: place) } } ?? .max
    let first = communicator.gather(own).min() ?? .max
    /// Nil where nothing parts there.
    var candidates: Set<Core>?
    if own == first, first < .max {
      for worker in workers where parts(worker, at: first) {
        let made = computations.map { (core: $0.cores[worker], sum: $0.sums[worker][first]) }
        let explaining = Set(made.map(\.core)).filter { core in
          Set(made.filter { $0.core != core }.map(\.sum)).count == 1
        }
        candidates = candidates?.intersection(explaining) ?? explaining
      }
    }
    let all = communicator.gather(encode(candidates)).compactMap { decode($0, as: Set<Core>?.self) }
    guard let common = all.first.map({ all.dropFirst().reduce($0) { $0.intersection($1) } }) else { return nil }
    return common.count == 1 ? common.first : nil
  }

  /// The cores whose results were others than what was settled on: those that parted first, for later stages follow from these.
  /// All ranks have to call it, and get the same.
  ///
  /// - Parameter describe: a worker's checksum of a computation: the step, the stage's name, and what it is of where that is known.
  func faults(
    _ settled: Settlement,
    _ describe: (_ computation: Int, _ place: Int, _ worker: Int) -> (step: Int, stage: String, tensor: String?)
  ) -> [Fault] {
    guard let right = settled.computations.last else { return [] }
    return settled.computations.enumerated().flatMap { i, other -> [Fault] in
      let parting = Parting(other.sums, right.sums)
      let first = communicator.gather(parting?.place ?? .max).min() ?? .max
      var own: [Fault] = []
      if let parting, parting.place == first {
        own = parting.workers.map { worker in
          let (core, what) = (other.cores[worker], describe(i, first, worker))
          return Fault(step: what.step, stage: what.stage, tensor: what.tensor, core: core)
        }
      }
      return communicator.gather(encode(own)).flatMap { decode($0, as: [Fault].self) }
    }
  }

  // Between processes of one program: what one writes the others read.
  private func encode(_ value: some Encodable) -> [UInt8] {
    guard let data = try? JSONEncoder().encode(value) else { preconditionFailure("\(value) is no JSON") }
    return Array(data)
  }

  private func decode<T: Decodable>(_ bytes: [UInt8], as type: T.Type = T.self) -> T {
    guard let value = try? JSONDecoder().decode(type, from: Data(bytes)) else {
      preconditionFailure("no \(type): \(String(decoding: bytes, as: UTF8.self))")
    }
    return value
  }
}

extension Auditor.Computation {
  /// Whether this is the same as another as far as it goes.
  func isBeginning(of other: Auditor.Computation) -> Bool {
    zip(sums, other.sums).allSatisfy { $0.count <= $1.count && $1.starts(with: $0) }
  }
}

// MARK: What leaves notes

extension Auditor {
  /// Trains on a full batch with gradients that are computed on other cores again before they are applied.
  ///
  /// - Returns: what was found, besides. All ranks have to call it, and get the same.
  /// - Throws: `Unsettled`, and then the state is as it was.
  func train(on batch: Batch) throws -> (result: StepResult, faults: [Fault]) {
    let own = steps[0]
    var inputs: TrainingStep.Inputs?
    let faults = try settle(step: own.state.step + 1, keepsOwn: true) { step, notes in
      let x = step.computeGradients(on: batch, notes: notes)
      if step === own { inputs = x }
      return true
    } name: { part, stage, worker in
      inputs.flatMap { own.nameOfOutput(part, of: stage, worker, $0) }
    }
    guard let faults, let inputs else { preconditionFailure("gradients without a computation") }
    return (own.applyGradients(of: inputs), faults)
  }

  /// Scores that two computations agree on, or that they agree on as not finite.
  ///
  /// - Parameter compute: scores by a step, with notes of it; nil to end.
  /// - Returns: what was found, besides; nil where `compute` ended it. All ranks have to call it, and get the same.
  /// - Throws: `Unsettled`; `NonFiniteScores`.
  func scores(
    _ compute: (TrainingStep, StepNotes) throws -> [Float]?
  ) throws -> (scores: [Float], faults: [Fault])? {
    var scores: Result<[Float], NonFiniteScores>?
    let faults = try settle(step: steps[0].state.step, during: "evaluation, ") { step, notes in
      do {
        scores = try compute(step, notes).map(Result.success)
      } catch let error as NonFiniteScores {
        scores = .failure(error)
      }
      return scores != nil
    } name: { _, _, _ in
      nil
    }
    guard let faults, let scores else { return nil }
    return (try scores.get(), faults)
  }

  /// Settles what steps leave notes of.
  ///
  /// - Parameters:
  ///   - during: what the names of stages begin with.
  ///   - compute: false to end.
  ///   - name: of a part of what a worker wrote in a stage.
  /// - Returns: what was found; nil where `compute` ended it.
  private func settle(
    step number: Int, during: String = "", keepsOwn: Bool = false,
    _ compute: (TrainingStep, StepNotes) throws -> Bool,
    name: (_ part: Int, Stage, _ worker: Int) -> String?
  ) throws -> [Fault]? {
    var notes: [[[StepNotes.Note]]] = []
    let settled = try settle(step: number, keepsOwn: keepsOwn) { place, _ in
      let made = StepNotes(workers: team.count)
      guard try compute(steps[place.shift], made) else { return nil }
      let own = StepNotes.decoded(bringHome(made.encoded, shift: place.shift))
      notes.append(own)
      return own.map { $0.map(\.sum) }
    }
    guard let settled, let right = notes.last else { return nil }
    return faults(settled) { computation, place, worker in
      let wrong = notes[computation][worker][place]
      let part = zip(wrong.parts, right[worker][place].parts).enumerated().first { $1.0 != $1.1 }?.offset
      return (number, during + wrong.stage.phase.name, part.flatMap { name($0, wrong.stage, worker) })
    }
  }

  /// Whether all ranks have the same parameters, on all of their nodes. All ranks have to call it.
  func copiesAreEqual() -> Bool {
    let state = steps[0].state
    var sum = Checksum(of: Matrix(state.replicas[0].origin, rows: 1, columns: state.model.layout.count))
    for rows in state.prototypes.values + [state.queue.rows] { sum.add(rows) }
    let isEqual = state.replicasAreEqual
    return communicator.gather(isEqual ? sum.value : 0).allSatisfy { $0 == sum.value } && isEqual
  }
}
