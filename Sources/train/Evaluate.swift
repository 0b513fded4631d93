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

  @Option(
    "Find thresholds on the validation split, one for all labels (highest micro-F1) or one a label (highest F1), and "
      + "measure with them too.", value: "global|label")
  var tuneThreshold: ThresholdTuning?

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func run() throws {
    let (predictor, split) = try samples.open(runDirectory, workers)
    if let absent = absentLabels(of: [split]) { Logger(label: "carat.data").warning("\(absent)") }
    let scores = try predictor.evaluator().scores(of: split)
    let usual = Evaluator.report(scores, of: split, thresholds: split.thresholds(predictor.threshold))
    let tuned = try tuneThreshold.map { tuning in
      Evaluator.report(scores, of: split, thresholds: try thresholds(tuning, predictor, measured: split))
    }
    if json {
      return try printJSON(
        Measured(
          metrics: usual.metrics, report: usual.report,
          tuned: tuned.map {
            Measured.Tuned(tuning: tuneThreshold?.rawValue ?? "", metrics: $0.metrics, report: $0.report)
          }
        ))
    }
    try tell(usual, tuned)
  }

  /// Thresholds of the validation split beside the samples, or of the run's own where these are a file.
  private func thresholds(_ tuning: ThresholdTuning, _ predictor: Predictor, measured: DatasetSplit) throws -> [Float] {
    let valid = try predictor.open(samples.data.flatMap { Dataset.isFile($0) ? nil : $0 }, split: "valid")
    if valid.path == measured.path {
      Logger(label: "carat.data").warning("thresholds are tuned on the very samples that are measured: too good")
    }
    return tuning.thresholds(
      scores: try predictor.evaluator().scores(of: valid), labels: valid.allLabels, labelCount: valid.labelNames.count,
      fallback: predictor.threshold)
  }

  private typealias Report = (metrics: EvaluationMetrics, report: EvaluationReport)

  /// Means, with a second column for tuned thresholds; then a line a label, by the tuned thresholds if there are any.
  private func tell(_ usual: Report, _ tuned: Report?) throws {
    let rows: [(String, (Report) -> Double)] = [
      ("micro-F1", { $0.metrics.microF1 }), ("precision", { $0.metrics.precision }), ("recall", { $0.metrics.recall }),
      ("accuracy", { $0.metrics.accuracy }), ("macro-F1", { $0.metrics.macroF1 }),
      ("mAP", { $0.metrics.meanAveragePrecision }), ("weighted F1", { $0.report.weightedF1 }),
      ("samples F1", { $0.report.samplesF1 }), ("Hamming loss", { $0.report.hammingLoss }),
      ("subset accuracy", { $0.report.subsetAccuracy }), ("ranking loss", { $0.report.rankingLoss }),
    ]
    for (name, value) in rows {
      try say("\(name)  \(decimal(value(usual)))" + (tuned.map { "  tuned \(decimal(value($0)))" } ?? ""))
    }
    let head = ["label", "precision", "recall", "F1", "average precision", "samples", "threshold"]
    let table = (tuned ?? usual).report.labels.map { label in
      [label.name] + [label.precision, label.recall, label.f1, label.averagePrecision].map(decimal)
        + ["\(label.support)", fixed(label.threshold, 2)]
    }
    for line in aligned([head] + table) { try say(line) }
  }

  private func decimal(_ value: Double) -> String { fixed(value, 4) }

  private struct Measured: Encodable {
    struct Tuned: Encodable {
      let tuning: String
      let metrics: EvaluationMetrics
      let report: EvaluationReport

      private enum CodingKeys: String, CodingKey { case tuning }

      func encode(to encoder: any Encoder) throws {
        try metrics.encode(to: encoder)
        try report.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(tuning, forKey: .tuning)
      }
    }

    let metrics: EvaluationMetrics
    let report: EvaluationReport
    let tuned: Tuned?

    private enum CodingKeys: String, CodingKey { case tuned }

    func encode(to encoder: any Encoder) throws {
      try metrics.encode(to: encoder)
      try report.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encodeIfPresent(tuned, forKey: .tuned)
    }
  }
}

extension ThresholdTuning: ExpressibleByArgument {}
