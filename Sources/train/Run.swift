import ArgumentParser
import Foundation
import Model
import Parallel

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train, evaluate after each epoch, and test the best epoch at the end.",
    discussion: """
      Writes config.json, metrics.jsonl, best.safetensors (weights under their PyTorch names) and state.safetensors \
      into the output directory. The defaults are the configuration of CARAT's released code.
      """)

  @Option(help: "Data set directory with train, valid and test.safetensors; without it, a generated set is used.")
  var data: String?

  @Option(help: "Directory for what the run writes.")
  var output = "runs/latest"

  @Option(help: "B, samples a step.")
  var batchSize = 64

  @Option(help: "Peak learning rate.")
  var learningRate = 5e-5

  @Option(help: "Share of all steps over which the learning rate rises.")
  var warmup = 0.1

  @Option(help: "Decoupled weight decay.")
  var weightDecay: Float = 0.01

  @Option(help: "Passes over the training split.")
  var epochs = 20

  @Option(help: "A score above this predicts its label.")
  var threshold: Float = 0.25

  @Option(help: "Seed of initial values, order, shuffles and dropout.")
  var seed: UInt64 = 1

  @Flag(help: "Print one JSON object with the result as the last line.")
  var json = false

  @OptionGroup(title: "Model and loss") var model: ModelOptions
  @OptionGroup(title: "Workers") var workers: WorkerOptions
  @OptionGroup(title: "Generated data, without --data") var generation: GenerationOptions

  func run() throws {
    let dataset = try openData()
    var settings = RunConfiguration(for: dataset)
    try model.apply(to: &settings.model)
    settings.optimizer.learningRate = learningRate
    settings.optimizer.warmup = warmup
    settings.optimizer.weightDecay = weightDecay
    settings.batchSize = batchSize
    settings.epochs = epochs
    settings.seed = seed
    settings.threshold = threshold
    settings.shards = workers.shards ?? ShardPlan.defaultShards(batchSize: max(batchSize, 1))
    if let contradiction = settings.contradiction(with: dataset) { throw ValidationError("\(contradiction).") }

    let team = workers.makeTeam()
    let trainer = try Trainer(settings, dataset: dataset, directory: RunDirectory(output), team: team)
    var progress = ProgressLines(epochs: epochs, stepsPerEpoch: dataset.train.count / batchSize)
    progress.begin(dataset, settings, workers: team.count)
    let result = try trainer.run { progress.report($0) }
    progress.end(result, output: output, best: dataset.test.metadata["best_micro_f1"])
    if json { try printJSON(result) }
  }

  /// The data set of --data, or the generated one beside the run, made if it is not there yet.
  private func openData() throws -> Dataset {
    if let data { return try Dataset(directory: data) }
    let settings = try generation.settings(seed: seed)
    let directory = output + "/data"
    try RunDirectory(directory).create()
    _ = try SyntheticDataset.write(settings, to: directory)
    return try Dataset(directory: directory)
  }
}

/// Prints a value as one line of JSON on the standard output.
func printJSON(_ value: some Encodable) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
  print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
