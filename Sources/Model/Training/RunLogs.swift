import Files
import Logging
import Parallel
import TensorBoard

/// What rank 0 appends to during a run.
struct RunLogs {
  let metrics: JSONLinesFile
  /// Nil unless the run was asked for them.
  let digests: JSONLinesFile?
  let tensorBoard: TensorBoardLog?

  /// Which logs a run has besides its metrics.
  struct Kinds {
    let digests: Bool
    let tensorBoard: Bool

    /// Those that were asked for, and those that the run had before.
    init(_ options: Trainer.Options, _ checkpoint: Checkpoint.Record?) {
      digests = options.logsDigests || checkpoint?.digestsBytes != nil
      tensorBoard = options.logsTensorBoard || checkpoint?.eventBytes != nil
    }
  }
}

extension RunDirectory {
  /// The logs of a new run.
  func newLogs(_ kinds: RunLogs.Kinds, _ settings: RunConfiguration, _ model: CARATModel) throws -> RunLogs {
    RunLogs(
      metrics: try JSONLinesFile(metrics), digests: kinds.digests ? try JSONLinesFile(digests) : nil,
      tensorBoard: kinds.tensorBoard ? try TensorBoardLog(events, settings, model) : nil)
  }

  /// The logs of a run that continues from a checkpoint; what faults were found since stays known. One warning tells if they are not those of the checkpoint.
  func openLogs(
    _ kinds: RunLogs.Kinds, _ settings: RunConfiguration, _ model: CARATModel, of checkpoint: Checkpoint.Record
  ) throws -> RunLogs {
    let step = checkpoint.step
    let metrics = try JSONLinesFile(
      self.metrics, keeping: checkpoint.metricsBytes, upTo: step, andAll: FaultRecord.event)
    let digests =
      kinds.digests ? try JSONLinesFile(self.digests, keeping: checkpoint.digestsBytes ?? 0, upTo: step) : nil
    let eventLack = kinds.tensorBoard ? try events.cut(to: checkpoint.eventBytes ?? [:]) : nil
    let lacks = [metrics.lack, digests?.lack, eventLack].compactMap(\.self)
    if !lacks.isEmpty {
      Logger(label: "carat.log").warning("\(lacks.joined(separator: "; ")); a new log continues from there")
    }
    return RunLogs(
      metrics: metrics, digests: digests,
      tensorBoard: kinds.tensorBoard ? try TensorBoardLog(events, settings, model, from: checkpoint) : nil)
  }
}
