import ArgumentParser
import Files
import Logging
import Model

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how well a run's best weights predict the labels of a split or a file.",
    discussion: """
      All numbers are scikit-learn's with zero_division=0; macro averages and each label's line know labels that no sample has \
      as 0. Without --data it is the run's own data set, as long as that is where it was.
      """)

  @Argument(help: ArgumentHelp("The --output directory of a run.", valueName: "run"))
  var runDirectory: String

  @OptionGroup var samples: ScoredDataOptions

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func run() throws {
    let (predictor, split) = try samples.open(runDirectory, workers)
    if let absent = absentLabels(of: [split]) { Logger(label: "carat.data").warning("\(absent)") }
    let (metrics, report) = try predictor.evaluator().report(of: split, threshold: predictor.threshold)
    if json { return try printJSON(Both(metrics: metrics, report: report)) }
    let rows: [(String, Double)] = [
      ("micro-F1", metrics.microF1), ("precision", metrics.precision), ("recall", metrics.recall),
      ("accuracy", metrics.accuracy), ("macro-F1", metrics.macroF1), ("mAP", metrics.meanAveragePrecision),
      ("weighted F1", report.weightedF1), ("samples F1", report.samplesF1), ("Hamming loss", report.hammingLoss),
      ("subset accuracy", report.subsetAccuracy), ("ranking loss", report.rankingLoss),
    ]
    for (name, value) in rows { try say("\(name)  \(fixed(value, 4))") }
    let head = ["label", "precision", "recall", "F1", "average precision", "samples", "threshold"]
    let table = report.labels.map { label in
      [label.name] + [label.precision, label.recall, label.f1, label.averagePrecision].map { fixed($0, 4) }
        + ["\(label.support)", fixed(label.threshold, 2)]
    }
    for line in aligned([head] + table) { try say(line) }
  }

  private struct Both: Encodable {
    let metrics: EvaluationMetrics
    let report: EvaluationReport

    func encode(to encoder: any Encoder) throws {
      try metrics.encode(to: encoder)
      try report.encode(to: encoder)
    }
  }
}
