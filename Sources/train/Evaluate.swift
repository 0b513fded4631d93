import ArgumentParser
import Logging
import Model

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how well a run's best weights predict the labels of a split or a file.")

  @Argument(help: ArgumentHelp("The --output directory of a run.", valueName: "run"))
  var runDirectory: String

  @OptionGroup var samples: ScoredDataOptions

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func run() throws {
    let trained = try TrainedRun(runDirectory, scoring: samples, workers: workers)
    if let absent = absentLabels(of: [trained.samples]) { Logger(label: "carat.data").warning("\(absent)") }
    let metrics = try trained.evaluator.metrics(of: trained.samples, threshold: trained.threshold)
    if json { return try printJSON(metrics) }
    let rows: [(String, Double)] =
      [
        ("micro-F1", metrics.microF1), ("precision", metrics.precision), ("recall", metrics.recall),
        ("accuracy", metrics.accuracy), ("macro-F1", metrics.macroF1), ("mAP", metrics.meanAveragePrecision),
      ] + trained.configuration.labelNames.map { ("F1 of \($0)", metrics.labelF1[$0] ?? 0) }
    for (name, value) in rows { try say("\(name)  \(fixed(value, 4))") }
  }
}
