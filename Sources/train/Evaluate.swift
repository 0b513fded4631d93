import ArgumentParser
import Model

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Evaluate a run's best weights on a split or a file.")

  @Argument(help: "The run's directory.")
  var directory: String

  @Option(help: "Data set directory, or one .safetensors file.")
  var data: String

  @Option(help: "The split of a data set directory: train, valid or test.")
  var split = "test"

  @Option(help: "A score above this predicts its label; by default the run's own threshold.")
  var threshold: Float?

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func run() throws {
    let trained = try TrainedRun(directory, workers: workers)
    let split = try trained.open(data: data, split: split)
    let metrics = trained.evaluator.metrics(of: split, threshold: threshold ?? trained.configuration.threshold)
    if json { return try printJSON(metrics) }
    let rows: [(String, Double)] = [
      ("micro-F1", metrics.microF1), ("precision", metrics.precision), ("recall", metrics.recall),
      ("accuracy", metrics.accuracy), ("macro-F1", metrics.macroF1), ("mAP", metrics.meanAveragePrecision),
    ]
    for (name, value) in rows { print("\(name)  \(fixed(value, 4))") }
    for name in split.labelNames { print("F1 of \(name)  \(fixed(metrics.labelF1[name] ?? 0, 4))") }
  }
}
