import ArgumentParser
import Foundation
import Model
import Parallel

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a model, evaluate it after each epoch, test the best epoch at the end.",
    discussion: """
      With --data it trains on your data set, without on a generated one. The defaults are the configuration of CARAT's \
      released code.

      The output directory gets config.json (all settings), metrics.jsonl (one JSON object a step and one an \
      evaluation), best.safetensors (the weights of the epoch with the highest micro-F1 on the validation split, under \
      their PyTorch names) and state.safetensors (all that training changes, after the last step). Files of an earlier \
      run there are replaced.

      At its end a run prints the SHA-256 of that state. It is the same for any number of workers.
      """)

  @Option("Data set: a directory with train, valid and test.safetensors, or .npz files.", value: "directory")
  var data: String?

  @Option("Directory for what the run writes.", value: "directory")
  var output = "runs/latest"

  @Option("Passes over the training split.", value: "n")
  var epochs = 20

  @Option("Samples a step (B).", value: "n")
  var batchSize = 64

  @Option("Peak of the learning rate, which rises, then falls to 0.", value: "rate")
  var learningRate = 5e-5

  @Option("Share of all steps over which the learning rate rises.", value: "share")
  var warmup = 0.1

  @Option("Weight decay a step, times the learning rate.", value: "number")
  var weightDecay: Float = 0.01

  @Option("A label is predicted where its score is above this.", value: "score")
  var threshold: Float = 0.25

  @Option("Seed of all random draws; the same seed gives the same run.", value: "n")
  var seed: UInt64 = 1

  @Flag(help: "Write the digest of each step's loss terms, gradients and parameters, for `train diff`.")
  var logDigests = false

  @Flag(help: "Print the result as one JSON object on the last line.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions
  @OptionGroup(title: "Workers") var shards: ShardOptions
  @OptionGroup(title: "Model and loss") var model: ModelOptions
  @OptionGroup(title: "Generated data, without --data") var generation: GenerationOptions

  func run() throws {
    let directory = RunDirectory(output)
    let isNew = !FileManager.default.fileExists(atPath: directory.path)
    let dataset: Dataset
    let settings: RunConfiguration
    if let data {
      dataset = try Dataset(directory: data)
      settings = try self.settings(for: DatasetShape(of: dataset.train), trainingSamples: dataset.train.count)
    } else {
      // All that can be wrong is known before the first byte is written.
      let generated = try generation.settings(seed: seed)
      settings = try self.settings(for: DatasetShape(of: generated), trainingSamples: generated.train)
      try settings.requireMemory()
      try SyntheticDataset.check(generated, directory: output)
      try directory.requireWritable()
      try RunDirectory(directory.generatedData).create()
      _ = try SyntheticDataset.write(generated, to: directory.generatedData)
      dataset = try Dataset(directory: directory.generatedData)
    }
    let team = workers.makeTeam()
    let trainer: Trainer
    do {
      trainer = try Trainer(settings, dataset: dataset, directory: directory, team: team)
    } catch {
      // A run that can't start leaves nothing, generated data included.
      if isNew { try? FileManager.default.removeItem(atPath: directory.path) }
      throw error
    }
    let reachable = SyntheticDataset.Reachable(of: dataset.test)
    var progress = ProgressLines(
      epochs: epochs, stepsPerEpoch: settings.stepsPerEpoch(trainingSamples: dataset.train.count))
    progress.begin(dataset, settings, workers: team.count, reachable: reachable)
    let result = try trainer.run(logsDigests: logDigests) { progress.report($0) }
    progress.end(result, directory: directory, reachable: reachable)
    if json { try printJSON(JSONResult(result: result, reachable: reachable)) }
  }

  /// - Throws: for settings that contradict one another or the data.
  private func settings(for shape: DatasetShape, trainingSamples: Int) throws -> RunConfiguration {
    var settings = RunConfiguration(for: shape)
    try model.apply(to: &settings.model)
    settings.optimizer.learningRate = learningRate
    settings.optimizer.warmup = warmup
    settings.optimizer.weightDecay = weightDecay
    settings.batchSize = batchSize
    settings.epochs = epochs
    settings.seed = seed
    settings.threshold = threshold
    settings.shards = shards.shards ?? settings.defaultShards
    if let contradiction = settings.contradiction(trainingSamples: trainingSamples) {
      throw SettingsError(description: contradiction)
    }
    return settings
  }

  /// The result's keys, and what can be reached where the data were generated.
  private struct JSONResult: Encodable {
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
