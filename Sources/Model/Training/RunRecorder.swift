import Files
import Foundation

/// What rank 0 writes of a run: logs at once; checkpoints and the best weights in the background, from copies.
final class RunRecorder {
  /// Copies that files are written from, reserved with the rest of a run's memory.
  struct Snapshots {
    /// The whole state.
    let state: TensorSnapshot
    /// The weights of the best epoch so far.
    let best: TensorSnapshot

    init(like state: TrainingState) {
      self.state = state.withTensors(TensorSnapshot.init)
      best = state.withWeights(TensorSnapshot.init)
    }

    var bytes: Int { state.bytes + best.bytes }
  }

  private let directory: RunDirectory
  private let snapshots: Snapshots
  private var logs: RunLogs
  /// Checkpoints that are kept.
  private let keep: Int
  private let writer = CheckpointWriter()

  init(_ directory: RunDirectory, _ snapshots: Snapshots, logs: RunLogs, keep: Int) {
    (self.directory, self.snapshots, self.logs, self.keep) = (directory, snapshots, logs, keep)
  }

  // MARK: Logs

  /// A record of `metrics.jsonl`, which gets the time, and by what it was computed.
  func append(_ record: some Encodable) throws { try logs.metrics.append(Stamped(record: record)) }
  func append(digests record: StepDigests) throws { try logs.digests?.append(record) }

  /// A step, which `training` has just taken.
  func append(step record: Trainer.StepRecord, _ training: TrainingStep) throws {
    try append(record)
    try logs.tensorBoard?.append(record, training)
  }

  /// What distributions the end of an epoch leaves, the gradients of its last step gathered.
  func appendDistributions(_ training: TrainingStep) throws { try logs.tensorBoard?.appendDistributions(training) }

  /// An evaluation, with the scores [N, C] that it measured.
  func append(evaluation record: Trainer.EvaluationRecord, scores: [Float], of split: DatasetSplit) throws {
    try append(record)
    try logs.tensorBoard?.append(record, scores: scores, of: split)
  }

  private struct Stamped<Record: Encodable>: Encodable {
    let record: Record

    private enum CodingKeys: String, CodingKey { case time, environment }

    func encode(to encoder: any Encoder) throws {
      try record.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(timestamp(), forKey: .time)
      try container.encode(RunEnvironment.current, forKey: .environment)
    }
  }

  // MARK: Weights and checkpoints

  /// Copies the state's weights, the best so far, and writes them.
  ///
  /// - Parameter thresholds: what they are kept with.
  func keepBest(_ state: TrainingState, thresholds: [Float]?) throws {
    try writer.wait()
    state.withWeights(snapshots.best.take)
    try writeBest(thresholds: thresholds)
  }

  func writeBest(thresholds: [Float]?) throws {
    writer.write(
      { [best = snapshots.best] in best.tensors },
      metadata: try KeptThresholds.metadata(thresholds).merging(["format": "pt"]) { $1 }, to: directory.best)
  }

  /// Gives the state the best weights back, as an evaluation needs them.
  func restoreBest(_ state: TrainingState) { state.restoreModel(from: snapshots.best.tensors) }

  /// Copies the state, then writes it with the best weights.
  ///
  /// - Parameter record: gets the lengths of the logs, in bytes.
  func save(
    _ state: TrainingState, _ record: (_ metrics: Int, _ digests: Int?, _ events: [String: Int]?) -> Checkpoint.Record
  ) throws {
    state.withTensors(snapshots.state.take)
    let (checkpoints, keep) = (directory.checkpoints, keep)
    let events = try logs.tensorBoard?.flushed()
    let open = [logs.metrics, logs.digests].compactMap { $0?.file } + (logs.tensorBoard?.open ?? [])
    writer.write(
      { [snapshots] in
        // Of the best none before the first epoch has ended.
        snapshots.state.tensors + snapshots.best.tensors.map { $0.named(Checkpoint.bestPrefix + $0.name) }
      },
      metadata: [
        "format": "pt",
        Checkpoint.metadataKey: try JSON.line(record(logs.metrics.length, logs.digests?.length, events)),
      ],
      to: checkpoints.file(state.step), before: open,
      after: { () throws(DataError) in try checkpoints.prune(keeping: keep) })
  }

  /// Forgets what was written since a checkpoint: records, and the best weights.
  ///
  /// - Parameters:
  ///   - kinds: of the run's logs.
  ///   - state: is used to read weights with.
  func goBack(to checkpoint: Checkpoint, _ kinds: RunLogs.Kinds, _ state: TrainingState) throws {
    _ = try logs.tensorBoard?.flushed()
    logs = try directory.openLogs(kinds, checkpoint.record.configuration, state.model, of: checkpoint.record)
    guard let best = checkpoint.record.best else { return try DurableFile.remove(directory.best) }
    try checkpoint.loadBest(into: state)
    try keepBest(state, thresholds: best.thresholds)
  }

  /// Whether a file is still being written.
  var isBusy: Bool { writer.isBusy }

  /// - Throws: what went wrong in the background, once.
  func check() throws(DataError) { try writer.check() }

  /// Waits until all is written.
  ///
  /// - Throws: what went wrong in the background, once.
  func wait() throws(DataError) { try writer.wait() }
}

/// The present time in UTC, to the millisecond, as ISO 8601 writes it.
func timestamp() -> String { Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }
