import Files
import Foundation
import Logging
import Parallel
import Tensor

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

/// Checksums of what was written in the steps since a checkpoint, one step after the other.
struct StepTraces {
  /// Each worker's.
  private(set) var sums: [[UInt64]] = []
  /// Steps.
  private(set) var count = 0
  /// Of any step.
  private(set) var stages: [Stage] = []

  mutating func add(_ notes: StepNotes) {
    if count == 0 { (sums, stages) = (notes.byWorker.map { _ in [] }, notes.byWorker[0].map(\.stage)) }
    for (worker, sums) in notes.sums.enumerated() { self.sums[worker] += sums }
    count += 1
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
    guard let auditor else { return (step.train(on: batch), []) }
    switch options.audit {
    case .every(let count) where (state.step + 1) % count == 0:
      let audited = try auditor.train(on: batch)
      auditCounts.steps += 1
      guard auditor.copiesAreEqual() else { throw DifferentCopies(step: state.step) }
      return audited
    case .replay:
      let notes = StepNotes(workers: team.count)
      let result = step.train(on: batch, notes: notes)
      sinceCheckpoint.add(notes)
      return (result, [])
    case .every:
      let result = step.train(on: batch)
      // What is not finite changes nothing, and may be a core's fault.
      return result.isFinite ? (result, []) : try auditor.train(on: batch)
    case nil: return (step.train(on: batch), [])
    }
  }

  /// Records faults, if there are any, and keeps their cores out or ends the run. All ranks have to call it.
  ///
  /// - Parameters:
  ///   - isProven: whether all steps up to here are known to be right.
  ///   - isSaved: whether the state is in a checkpoint already.
  func tell(_ faults: [Fault], isProven: Bool = false, isSaved: Bool = false) throws {
    if faults.isEmpty { return }
    auditCounts.faults += faults.count
    for fault in faults {
      try recorder?.append(FaultRecord(step: fault.step, fault: fault, action: options.onFault))
      if recorder != nil { Logger(label: "carat.audit").warning("\(fault.description)") }
    }
    suspects.formUnion(faults.filter { $0.rank == team.ranks.rank }.map(\.seat))
    // Steps that are still to be repeated know the seats as they were.
    if isProven || sinceCheckpoint.count == 0 { avoidSuspects() }
    guard options.onFault == .stop else { return }
    // What was found is undone.
    if isProven { sinceCheckpoint = StepTraces() }
    if !isSaved { try save() }
    try recorder?.wait()
    throw FaultyProcessor(faults: faults, checkpoint: directory.checkpoints.file(state.step))
  }

  /// Keeps cores out that computed wrongly.
  func avoidSuspects() {
    for seat in suspects.sorted() { team.avoid(seat: seat) }
    suspects = []
  }

  // MARK: Replay

  /// Repeats all steps since the last checkpoint on other cores.
  ///
  /// - Returns: whether the state is right; if it is not, the run is back at the checkpoint. All ranks have to call it, and get
  ///   the same.
  /// - Throws: `Unsettled` if no two computations of a step are the same.
  func confirmByReplay() throws -> Bool {
    guard let auditor, sinceCheckpoint.count > 0 else { return true }
    // Rank 0 knows which one has been written, and that it has.
    let newest = recorder == nil ? nil : try directory.checkpoints.newest()
    let path = communicator.gather(newest?.path ?? "")[0]
    guard !path.isEmpty else { return true }
    let checkpoint = try newest ?? Checkpoint(path: path)
    let (last, first, stages) = (state.step, checkpoint.record.step + 1, sinceCheckpoint.stages)
    let settled = try auditor.settle(step: first, earlier: sinceCheckpoint.sums) { place, before in
      try step.times.pausing { try replay(from: checkpoint, place.shift, before[0], auditor) }
    }
    guard let settled else { preconditionFailure("a replay that was ended") }
    let faults = auditor.faults(settled) { _, place, _ in
      (first + place / stages.count, stages[place % stages.count].phase.name, nil)
    }
    // Only where all steps are the first computation's is the state what the run had.
    let isConfirmed = settled.agreeing == 0
    auditCounts.steps += sinceCheckpoint.count
    if isConfirmed {
      step.bringHomeMoments(shift: settled.computations.last?.shift ?? 0)
      state.step = last
    } else {
      try goBack(to: checkpoint)
    }
    try tell(faults, isProven: true)
    return isConfirmed
  }

  /// Takes the steps since a checkpoint once more, as the ranks `shift` after take them, until one is not as in the first
  /// computation.
  ///
  /// - Returns: checksums of this rank's part.
  private func replay(
    from checkpoint: Checkpoint, _ shift: Int, _ first: Auditor.Computation, _ auditor: Auditor
  ) throws -> [[UInt64]] {
    try checkpoint.load(into: state)
    let (step, perStep) = (auditor.steps[shift], sinceCheckpoint.stages.count)
    var sums: [[UInt64]] = first.sums.map { _ in [] }
    batches.forEachStep(from: checkpoint.record.position, count: sinceCheckpoint.count) { k, batch in
      let notes = StepNotes(workers: team.count)
      let result = step.train(on: batch, notes: notes)
      // A step that was left out.
      if !result.isFinite { state.step += 1 }
      let own = auditor.bringHome(notes.sums.flatMap(\.self), shift: shift)
      for worker in sums.indices { sums[worker] += own[worker * perStep..<(worker + 1) * perStep] }
      let isSame = sums.indices.allSatisfy {
        sums[$0][(k * perStep)...] == first.sums[$0][k * perStep..<(k + 1) * perStep]
      }
      return auditor.everywhere([isSame]) != nil
    }
    return sums
  }

  /// Puts the run where a checkpoint has it: what it did since then was wrong.
  private func goBack(to checkpoint: Checkpoint) throws {
    let record = checkpoint.record
    try recorder?.goBack(to: checkpoint, logs, state)
    try checkpoint.load(into: state)
    (position, best, seconds) = (record.position, record.best, record.seconds)
    sinceCheckpoint = StepTraces()
    // Undone, as the steps are.
    (untold, _) = ((0, 0), step.times.take())
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
