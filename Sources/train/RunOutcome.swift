import Model
import Parallel

// What a run says when it ends, or has ended before.
extension Run {
  /// Says the result of a run that has come to its end, if the checkpoint is of that end and nothing was changed.
  ///
  /// - Returns: whether it did, on every rank.
  func tellResult(
    of checkpoint: Checkpoint, _ inputs: Inputs, _ directory: RunDirectory, _ communicator: any Communicator
  ) throws -> Bool {
    let isFirst = communicator.rank == 0
    let isEnd = !inputs.isChanged && !inputs.isToBeGenerated && checkpoint.isEnd(of: inputs.settings)
    let result = isFirst && isEnd ? directory.result(of: checkpoint) : nil
    guard communicator.agree(on: result != nil) else { return false }
    if let result {
      let samples = inputs.dataset?.train.count ?? checkpoint.record.epochSteps * inputs.settings.batchSize
      let progress = ProgressLines(inputs.settings, trainingSamples: samples, isQuiet: printing.quiet)
      progress.beginFinished(checkpoint)
      try tell(result, progress, directory, inputs.dataset.flatMap { SyntheticDataset.Reachable(of: $0.test) })
    }
    return true
  }

  func tell(
    _ result: Trainer.Result, _ progress: ProgressLines, _ directory: RunDirectory,
    _ reachable: SyntheticDataset.Reachable?
  ) throws {
    progress.end(result, directory: directory, reachable: reachable)
    if printing.json { try printJSON(JSONResult(result: result, reachable: reachable)) }
  }

  /// What a stopped run says of itself.
  struct JSONStop: Encodable {
    /// The signal.
    let stopped: String
    let step: Int
    let checkpoint: String
  }

  /// The result's keys, and what can be reached where the data were generated.
  struct JSONResult: Encodable {
    let result: Trainer.Result
    let reachable: SyntheticDataset.Reachable?

    private enum CodingKeys: String, CodingKey { case reachable }

    func encode(to encoder: any Encoder) throws {
      try result.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encodeIfPresent(reachable, forKey: .reachable)
    }
  }
}
