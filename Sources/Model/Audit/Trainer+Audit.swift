import Files
import Foundation
import Logging
import Parallel

/// What of a run is computed again on other cores.
package enum Audit: Sendable, Equatable {
  /// The gradients of every N-th step.
  case every(Int)
  /// All steps since the last checkpoint, before the next one is written.
  case replay
}

/// What becomes of a core that computed wrongly.
package enum FaultPolicy: String, Sendable, CaseIterable {
  /// It gets no more work.
  case avoid
  /// The run ends with a checkpoint that is right.
  case stop
}

/// What a run's audits came to, since it was started or resumed.
package struct AuditCounts: Codable, Sendable, Equatable {
  /// Steps that were computed again.
  package internal(set) var steps = 0
  /// Times that a core had computed otherwise than others.
  package internal(set) var faults = 0
}

/// Checksums of a step that was taken, to compare its repetition with.
struct StepTrace {
  /// Each worker's, of each stage.
  let sums: [[UInt64]]
  let stages: [Stage]

  init(_ notes: StepNotes) {
    sums = notes.sums
    stages = notes.byWorker.first?.map(\.stage) ?? []
  }
}

/// A fault, in `metrics.jsonl`.
private struct FaultRecord: Encodable {
  let event = "fault"
  let step: Int
  let fault: Fault
  /// What became of the core.
  let action: FaultPolicy

  private enum CodingKeys: String, CodingKey { case event, action }

  func encode(to encoder: any Encoder) throws {
    try fault.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(event, forKey: .event)
    try container.encode(action.rawValue, forKey: .action)
  }
}

extension Trainer {
  /// A step, audited as the run's options say.
  func trainAudited(on batch: Batch) throws -> (result: StepResult, faults: [Fault]) {
    switch options.audit {
    case .every(let count) where (state.step + 1) % count == 0:
      let audited = try step.trainAudited(on: batch)
      auditCounts.steps += 1
      guard step.copiesAreEqual() else { throw DifferentCopies(step: state.step) }
      return audited
    case .replay:
      let notes = StepNotes(workers: team.count)
      let result = step.train(on: batch, notes: notes)
      sinceCheckpoint.append(StepTrace(notes))
      return (result, [])
    case .every:
      let result = step.train(on: batch)
      // What is not finite changes nothing, and may be a core's fault.
      return result.isFinite ? (result, []) : try step.trainAudited(on: batch)
    case nil: return (step.train(on: batch), [])
    }
  }

  /// Records faults, and keeps their cores out or ends the run. All ranks have to call it.
  func tell(_ faults: [Fault]) throws {
    auditCounts.faults += faults.count
    for fault in faults {
      try recorder?.append(FaultRecord(step: fault.step, fault: fault, action: options.onFault))
      if recorder != nil { Logger(label: "carat.audit").warning("\(fault.description)") }
    }
    let own = Set(faults.filter { $0.rank == team.ranks.rank }.map(\.seat))
    for seat in own.sorted() { team.avoid(seat: seat) }
    guard options.onFault == .stop else { return }
    // What was found is undone, so the present state is right, and proven up to here.
    sinceCheckpoint = []
    try save()
    try recorder?.wait()
    throw FaultyProcessor(faults: faults, checkpoint: directory.checkpoints.file(state.step))
  }

  // MARK: Replay

  /// Repeats all steps since the last checkpoint on other cores.
  ///
  /// - Returns: whether the state is right; if it is not, the run is back at the checkpoint. All ranks have to call it, and get
  ///   the same.
  /// - Throws: `Unsettled` if no two computations of a step are the same.
  func confirmByReplay() throws -> Bool {
    guard !sinceCheckpoint.isEmpty else { return true }
    // Rank 0 knows which one has been written, and that it has.
    let newest = recorder == nil ? nil : try directory.checkpoints.newest()
    let path = communicator.gather(newest?.path ?? "")[0]
    guard !path.isEmpty else { return true }
    let checkpoint = try newest ?? Checkpoint(path: path)
    let last = state.step
    defer { team.move(toPass: 0) }
    /// Of each computation of the steps, as far as it came, and where its workers sat.
    var computations = [(traces: sinceCheckpoint, seats: team.move(toPass: 0))]
    var suspects: Set<Int> = []
    while computations.count < TrainingStep.mostComputations {
      let seats = team.move(toPass: computations.count, without: suspects)
      let (traces, agreeing) = try step.times.pausing { try replay(from: checkpoint, computations.map(\.traces)) }
      computations.append((traces, seats))
      guard let agreeing else {
        if computations.count == 3, let last = computations.map(\.traces.count).min() {
          suspects = step.oddSeats(computations.map { ($0.traces[last - 1].sums, $0.seats) })
        }
        continue
      }
      // Two agree up to here; each of the others erred where it parts from them first.
      var faults: [Fault] = []
      for other in computations.dropLast() {
        let own = zip(other.traces, traces).enumerated().first { $1.0.sums != $1.1.sums }?.offset
        guard let first = communicator.gather(own ?? .max).min(), first < .max else { continue }
        faults += try step.blame(
          seats: other.seats, stages: traces[first].stages, Parting(other.traces[first].sums, traces[first].sums),
          step: checkpoint.record.step + first + 1, tensor: { _, _ in nil })
      }
      // Only where all steps are the first computation's is the state what the run had.
      let isConfirmed = agreeing == 0
      auditCounts.steps += sinceCheckpoint.count
      if isConfirmed { state.step = last } else { try goBack(to: checkpoint) }
      if !faults.isEmpty { try tell(faults) }
      return isConfirmed
    }
    throw Unsettled(step: checkpoint.record.step + 1, passes: TrainingStep.mostComputations, host: Host.name)
  }

  /// Takes the steps since a checkpoint once more, until one is not as in the first computation.
  ///
  /// - Returns: the steps' traces, and the computation that the last of them agrees with; nil if there is none.
  private func replay(from checkpoint: Checkpoint, _ before: [[StepTrace]]) throws -> ([StepTrace], agreeing: Int?) {
    try checkpoint.load(into: state)
    var (traces, agreeing) = ([StepTrace](), Int?.some(0))
    batches.forEachStep(from: checkpoint.record.position, count: before[0].count) { k, batch in
      let notes = StepNotes(workers: team.count)
      let result = step.train(on: batch, notes: notes)
      // A step that was left out.
      if !result.isFinite { state.step += 1 }
      let trace = StepTrace(notes)
      traces.append(trace)
      agreeing = step.everywhere(before.map { $0.count > k && $0[k].sums == trace.sums })
      return agreeing == 0
    }
    return (traces, agreeing)
  }

  /// Puts the run where a checkpoint has it: what it did since then was wrong.
  private func goBack(to checkpoint: Checkpoint) throws {
    let record = checkpoint.record
    try recorder?.goBack(to: checkpoint, logs, state)
    try checkpoint.load(into: state)
    (position, best, seconds) = (record.position, record.best, record.seconds)
    sinceCheckpoint = []
    // Undone, as the steps are.
    (untold, _) = ((0, 0), step.times.take())
  }

  // MARK: Evaluations

  /// Scores that two computations on different cores agree on; nil if they were stopped. Nothing tells which core erred.
  func settleScores(_ compute: () throws -> [Float]?) throws -> [Float]? {
    var computations: [[UInt32]] = []
    defer { team.move(toPass: 0) }
    while computations.count < TrainingStep.mostComputations {
      team.move(toPass: computations.count)
      guard let scores = try compute() else { return nil }
      let bits = scores.map(\.bitPattern)
      let equal = computations.map { $0 == bits }
      computations.append(bits)
      if step.everywhere(equal) != nil {
        if computations.count > 2 {
          auditCounts.faults += 1
          if recorder != nil {
            Logger(label: "carat.audit").warning(
              "an evaluation after step \(state.step) came out otherwise on other cores; what two computations agree on counts"
            )
          }
        }
        return scores
      }
    }
    throw Unsettled(step: state.step, passes: TrainingStep.mostComputations, host: Host.name)
  }
}

/// Parameters that are not the same on all nodes and ranks, as they have to be between steps.
package struct DifferentCopies: Error, CustomStringConvertible, Sendable {
  let step: Int

  package var description: String {
    "after step \(step) the copies of the parameters on the NUMA nodes or ranks differ, as they never should: some memory or "
      + "core is faulty; continue from the last checkpoint with --resume on another machine"
  }
}
