import Files
import Foundation
import Parallel
import Tensor

// Audits of one step: its gradients are computed on other cores again, until two computations are the same bits.
extension TrainingStep {
  /// One computation of the gradients.
  private struct Computation {
    let notes: [[StepNotes.Note]]
    /// Where each worker sat.
    let seats: [Int]
    var sums: [[UInt64]] { notes.map { $0.map(\.sum) } }
  }

  /// How often something is computed at most until two computations agree.
  static let mostComputations = 6

  /// Computes the gradients of a step until two computations are the same on all ranks; the last one's are what stays.
  ///
  /// - Returns: what the others had otherwise. All ranks have to call it, and get the same.
  /// - Throws: `Unsettled` if no two are the same.
  func settle(_ inputs: Inputs) throws -> [Fault] {
    var computations: [Computation] = []
    var suspects: Set<Int> = []
    defer { team.move(toPass: 0) }
    while computations.count < Self.mostComputations {
      let notes = StepNotes(workers: team.count)
      var x = inputs
      x.notes = notes
      let (noting, seats) = (x, team.move(toPass: computations.count, without: suspects))
      team.run { [self] worker in computeGradients(worker, noting) }
      let last = Computation(notes: notes.byWorker, seats: seats)
      let equal = computations.map { $0.sums == last.sums }
      computations.append(last)
      if everywhere(equal) != nil {
        return try computations.flatMap { computation -> [Fault] in
          try blame(computation, Parting(computation.sums, last.sums)) { stage, worker in
            name(computation.notes[worker][stage], last.notes[worker][stage], worker, noting)
          }
        }
      }
      if computations.count == 3 { suspects = oddSeats(computations.map { ($0.sums, $0.seats) }) }
    }
    throw Unsettled(step: state.step + 1, passes: Self.mostComputations, host: Host.name)
  }

  /// The first of several things that is so on every rank; nil if there is none.
  func everywhere(_ isSo: [Bool]) -> Int? {
    let all = communicator.gather(isSo.map { $0 ? UInt8(1) : 0 })
    return isSo.indices.first { i in all.allSatisfy { $0[i] == 1 } }
  }

  /// Whose result was another than what stays. All ranks have to call it, and get the same: those who parted first, for later
  /// stages follow from these.
  ///
  /// - Parameters:
  ///   - seats: where each worker sat.
  ///   - stages: of a worker, in the step's order.
  func blame(
    seats: [Int], stages: [Stage], _ parting: Parting?, step: Int, tensor: (_ stage: Int, _ worker: Int) -> String?
  ) throws -> [Fault] {
    let firsts = communicator.gather(parting?.stage ?? .max)
    let first = firsts.min() ?? .max
    var own: [Fault] = []
    if first < .max, let parting, parting.stage == first {
      let cpus = team.seats.cpus
      own = parting.workers.map { worker in
        Fault(
          step: step, stage: stages[first].phase.name, tensor: tensor(first, worker), rank: ranks.rank, host: Host.name,
          cpu: cpus[seats[worker]], seat: seats[worker])
      }
    }
    return try communicator.gather(JSON.line(own)).flatMap {
      try JSON.decoder().decode([Fault].self, from: Data($0.utf8))
    }
  }

  private func blame(
    _ computation: Computation, _ parting: Parting?, _ tensor: (_ stage: Int, _ worker: Int) -> String?
  ) throws -> [Fault] {
    try blame(
      seats: computation.seats, stages: computation.notes[0].map(\.stage), parting, step: state.step + 1, tensor: tensor
    )
  }

  private func name(_ a: StepNotes.Note, _ b: StepNotes.Note, _ worker: Int, _ x: Inputs) -> String? {
    guard let i = zip(a.parts, b.parts).enumerated().first(where: { $1.0 != $1.1 })?.offset else { return nil }
    return nameOfOutput(i, of: a.stage, worker, x)
  }

  /// Of three computations that all differ, the seats whose result two others contradict, at the first stage that is not the
  /// same in all three. All ranks have to call it; each gets its own.
  func oddSeats(_ three: [(sums: [[UInt64]], seats: [Int])]) -> Set<Int> {
    let partings = [(0, 1), (0, 2), (1, 2)].compactMap { Parting(three[$0].sums, three[$1].sums) }
    let own = partings.map(\.stage).min() ?? .max
    guard let first = communicator.gather(own).min(), first == own, first < .max else { return [] }
    var odd: Set<Int> = []
    for worker in 0..<team.count {
      let sums = three.map { $0.sums[worker].count > first ? $0.sums[worker][first] : 0 }
      for i in 0..<3 where sums[i] != sums[(i + 1) % 3] && sums[(i + 1) % 3] == sums[(i + 2) % 3] {
        odd.insert(three[i].seats[worker])
      }
    }
    return odd
  }

  /// Whether all ranks have the same parameters, on all of their nodes. All ranks have to call it.
  func copiesAreEqual() -> Bool {
    var sum = Checksum(of: Matrix(state.replicas[0].origin, rows: 1, columns: model.layout.count))
    for rows in state.prototypes.values + [state.queue.rows] { sum.add(rows) }
    let isEqual = state.replicasAreEqual
    return communicator.gather(isEqual ? sum.value : 0).allSatisfy { $0 == sum.value } && isEqual
  }
}
