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
    "Find thresholds on the validation split instead of those that may be kept with the weights, one for all labels (highest micro-F1) or one a label (highest F1), and "
      + "measure with them too.", value: "global|label")
  var tuneThreshold: ThresholdTuning?

  @Option(
    "Tell 95 % confidence intervals too, from so many resamples of the samples (bootstrap, seed 0); 1000 are usual.",
    value: "n")
  var confidence: Int?

  @Flag(help: "Print one JSON object.")
  var json = false

  @Flag(help: "Print a line a label, as CSV.")
  var csv = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func validate() throws {
    if json && csv { throw ValidationError("--json and --csv contradict each other: give one of them.") }
    if let confidence, !(1...1_000_000).contains(confidence) {
      throw ValidationError("--confidence must be between 1 and 1000000, not \(confidence).")
    }
    if csv && confidence != nil { throw ValidationError("--confidence is of means, which --csv leaves out.") }
  }

  func run() throws {
    let (predictor, split) = try samples.open(runDirectory, workers)
    if let absent = absentLabels(of: [split]) { Logger(label: "carat.data").warning("\(absent)") }
    let scores = try predictor.evaluator().scores(of: split)
    let untuned = split.thresholds(samples.threshold ?? predictor.configuration.threshold)
    let usual = Evaluator.report(scores, of: split, thresholds: untuned)
    let others =
      try tuneThreshold.map { try thresholds($0, predictor, measured: split) }
      ?? (predictor.hasTunedThresholds && samples.threshold == nil ? predictor.thresholds : nil)
    let tuned = others.map { Evaluator.report(scores, of: split, thresholds: $0) }
    let intervals = confidence.map {
      ConfidenceIntervals(
        scores: scores, labels: split.allLabels, labelNames: split.labelNames,
        thresholds: untuned, resamples: $0)
    }
    if csv { return try printOut(table(tuned ?? usual)) }
    if json {
      return try printJSON(
        Measured(
          metrics: usual.metrics, report: usual.report, confidence: intervals,
          tuned: tuned.map {
            Measured.Tuned(tuning: tuneThreshold?.rawValue ?? "kept", metrics: $0.metrics, report: $0.report)
          }
        ))
    }
    try tell(usual, tuned, intervals)
  }

  /// Thresholds of the validation split beside the samples, or of the run's own where these are a file.
  private func thresholds(_ tuning: ThresholdTuning, _ predictor: Predictor, measured: DatasetSplit) throws -> [Float] {
    let valid = try predictor.open(samples.data.flatMap { Dataset.isFile($0) ? nil : $0 }, split: "valid")
    if valid.path == measured.path {
      Logger(label: "carat.data").warning("thresholds are tuned on the very samples that are measured: too good")
    }
    return tuning.thresholds(
      scores: try predictor.evaluator().scores(of: valid), labels: valid.allLabels, labelCount: valid.labelNames.count,
      fallback: predictor.configuration.threshold)
  }

  private typealias Report = (metrics: EvaluationMetrics, report: EvaluationReport)

  /// Means, with a second column for tuned thresholds; then a line a label, by the tuned thresholds if there are any.
  private func tell(_ usual: Report, _ tuned: Report?, _ confidence: ConfidenceIntervals?) throws {
    let rows: [(name: String, key: String?, value: (Report) -> Double)] = [
      ("micro-F1", "micro_f1", { $0.metrics.microF1 }), ("precision", "precision", { $0.metrics.precision }),
      ("recall", "recall", { $0.metrics.recall }), ("accuracy", "accuracy", { $0.metrics.accuracy }),
      ("macro-F1", "macro_f1", { $0.metrics.macroF1 }), ("mAP", "mAP", { $0.metrics.meanAveragePrecision }),
      ("weighted F1", nil, { $0.report.weightedF1 }), ("samples F1", nil, { $0.report.samplesF1 }),
      ("Hamming loss", nil, { $0.report.hammingLoss }), ("subset accuracy", nil, { $0.report.subsetAccuracy }),
      ("ranking loss", nil, { $0.report.rankingLoss }),
    ]
    for row in rows {
      let interval = row.key.flatMap { confidence?.intervals[$0] }
      try say(
        "\(row.name)  \(decimal(row.value(usual)))"
          + (interval.map { "  95 % \(decimal($0[0])) to \(decimal($0[1]))" } ?? "")
          + (tuned.map { "  tuned \(decimal(row.value($0)))" } ?? ""))
    }
    let head = ["label", "precision", "recall", "F1", "average precision", "samples", "threshold"]
    let table = (tuned ?? usual).report.labels.map { label in
      [label.name] + [label.precision, label.recall, label.f1, label.averagePrecision].map(decimal)
        + ["\(label.support)", fixed(label.threshold, 2)]
    }
    for line in aligned([head] + table) { try say(line) }
  }

  /// A line a label, with the numbers as they are; without the last line's end.
  private func table(_ report: Report) -> String {
    let head = ["label", "precision", "recall", "f1", "average_precision", "support", "threshold"]
    let rows = report.report.labels.map { label in
      [label.name] + [label.precision, label.recall, label.f1, label.averagePrecision].map { "\($0)" }
        + ["\(label.support)", "\(label.threshold)"]
    }
    return String(([head] + rows).map(CSV.line).joined().dropLast())
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
    let confidence: ConfidenceIntervals?
    let tuned: Tuned?

    private enum CodingKeys: String, CodingKey { case confidence, tuned }

    func encode(to encoder: any Encoder) throws {
      try metrics.encode(to: encoder)
      try report.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encodeIfPresent(confidence, forKey: .confidence)
      try container.encodeIfPresent(tuned, forKey: .tuned)
    }
  }
}

extension ThresholdTuning: ExpressibleByArgument {}
