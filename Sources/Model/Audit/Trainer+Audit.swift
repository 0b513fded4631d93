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
  /// The run ends with a checkpoint.
  case stop
}

/// What a run's audits came to, since it was started or resumed.
package struct AuditCounts: Codable, Sendable, Equatable {
  /// Steps that were computed again, each time.
  package internal(set) var steps = 0
  /// Times that a core had computed otherwise than others.
  package internal(set) var faults = 0
}

/// Checksums of what was written in the steps since a checkpoint, one step after the other.
struct StepTraces {
  /// The checkpoint's.
  let start: Int
  /// Each worker's.
  private(set) var sums: [[UInt64]] = []
  /// Steps.
  private(set) var count = 0
  /// Of any step.
  private(set) var stages: [Stage] = []

  init(after step: Int) { start = step }

  mutating func add(_ notes: StepNotes) {
    if count == 0 { (sums, stages) = (notes.byWorker.map { _ in [] }, notes.byWorker[0].map(\.stage)) }
    for (worker, sums) in notes.sums.enumerated() { self.sums[worker] += sums }
    count += 1
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
      if result.isFinite { return (result, []) }
      // What is not finite changes nothing, and may be a core's fault, of which nothing tells where it was computed.
      let again = try auditor.train(on: batch)
      auditCounts.steps += 1
      guard again.result.isFinite else { return again }
      let fault = Fault(step: state.step, stage: "a loss or gradient that is not finite", tensor: nil, core: nil)
      return (again.result, [fault] + again.faults)
    case nil: return (step.train(on: batch), [])
    }
  }

  /// Records faults.
  func record(_ faults: [Fault], then action: FaultPolicy? = nil) throws {
    auditCounts.faults += faults.count
    for fault in faults {
      try recorder?.append(FaultRecord(fault: fault, action: action ?? options.onFault))
      if recorder != nil { Logger(label: "carat.audit").warning("\(fault.description)") }
    }
  }

  /// Keeps the cores of faults that were recorded out, or ends the run. All ranks have to call it.
  ///
  /// - Parameters:
  ///   - isProven: whether all steps up to here are known to be right.
  ///   - isSaved: whether the state is in a checkpoint already.
  func act(on faults: [Fault], isProven: Bool = false, isSaved: Bool = false) throws {
    if faults.isEmpty { return }
    suspects.formUnion(faults.compactMap(\.core).filter { $0.rank == team.ranks.rank }.map(\.seat))
    // Steps that are still to be repeated know the seats as they were.
    if isProven || sinceCheckpoint.count == 0 { avoidSuspects() }
    guard options.onFault == .stop else { return }
    // What was found is undone.
    if isProven { sinceCheckpoint = StepTraces(after: state.step) }
    if !isSaved { try save() }
    try recorder?.wait()
    let isKnown = faults.allSatisfy { $0.core != nil }
    throw FaultyProcessor(
      faults: faults,
      advice: advice(
        directory.checkpoints.file(state.step), isKnown ? "on other CPUs" : "and --audit-every 1, which names the core")
    )
  }

  /// What nobody can settle, told and recorded.
  func unsettled(_ error: Unsettled) throws -> Unsettled {
    if let core = error.culprit {
      try record([Fault(step: error.step, stage: "a step", tensor: nil, core: core)], then: .stop)
    }
    try recorder?.wait()
    var error = error
    error.advice = advice(
      directory.checkpoints.files().first, error.culprit == nil ? "on another machine" : "without it")
    return error
  }

  /// How far a checkpoint is to be trusted once a core was found that computes wrongly, and how to continue.
  private func advice(_ checkpoint: String?, _ how: String) -> String {
    guard let checkpoint else { return "there is no checkpoint yet: start again \(how)" }
    let trust =
      switch options.audit {
      case .every(let n) where n > 1:
        "steps that were not audited may have such faults too: `train verify --replay` on other cores tells whether the state in "
          + "\(checkpoint) is right"
      default: "the state in \(checkpoint) is right"
      }
    return "\(trust); continue with --resume \(how)"
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
    let (last, first, stages) = (state.step, sinceCheckpoint.start + 1, sinceCheckpoint.stages)
    // Rank 0 knows which one has been written, and that it has.
    let newest = recorder == nil ? nil : wholeCheckpoint(upTo: sinceCheckpoint.start)
    let path = communicator.gather(newest?.path ?? "")[0]
    guard !path.isEmpty else { return true }
    let checkpoint = try newest ?? Checkpoint(path: path)
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
    try record(faults)
    try act(on: faults, isProven: true)
    return isConfirmed
  }

  /// The newest checkpoint from which steps can be repeated; nil, with a warning, if none is whole.
  private func wholeCheckpoint(upTo step: Int) -> Checkpoint? {
    var damages: [DataError] = []
    let newest = try? directory.checkpoints.newest { damages.append($0) }
    let found = newest.flatMap { $0.record.step <= step ? $0 : nil }
    if found?.record.step != step {
      let what =
        damages.isEmpty ? "the checkpoint of step \(step) is gone" : damages.map(\.description).joined(separator: "; ")
      let how = found.map { "steps are repeated from that of step \($0.record.step)" }
      Logger(label: "carat.audit").warning(
        "\(what); \(how ?? "steps \(step + 1) to \(state.step) can't be repeated, and are not known to be right")")
    }
    return found
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
    // More of them where an older checkpoint has to do.
    let known = sinceCheckpoint.start - checkpoint.record.step
    batches.forEachStep(from: checkpoint.record.position, count: known + sinceCheckpoint.count) { number, batch in
      let notes = StepNotes(workers: team.count)
      let result = step.train(on: batch, notes: notes)
      // A step that was left out.
      if !result.isFinite { state.step += 1 }
      if number < known { return true }
      let k = number - known
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
    sinceCheckpoint = StepTraces(after: state.step)
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
