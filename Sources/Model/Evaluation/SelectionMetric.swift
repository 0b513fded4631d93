/// What of the validation split says which epoch is the best.
public enum SelectionMetric: String, Codable, Sendable, CaseIterable, CustomStringConvertible {
  case microF1 = "micro_f1"
  case macroF1 = "macro_f1"
  case meanAveragePrecision = "mAP"
  /// The scores' cross-entropy, of which less is better.
  case loss

  public var description: String { rawValue }

  /// Greater for better metrics.
  func value(_ metrics: EvaluationMetrics) -> Double {
    switch self {
    case .microF1: metrics.microF1
    case .macroF1: metrics.macroF1
    case .meanAveragePrecision: metrics.meanAveragePrecision
    case .loss: -(metrics.crossEntropy ?? .infinity)
    }
  }

  /// Whether metrics are at least as good as the best so far.
  package func prefers(_ metrics: EvaluationMetrics, to best: EvaluationMetrics?) -> Bool {
    best.map { value(metrics) >= value($0) } ?? true
  }

  /// Whether metrics are better than the best so far.
  package func isBetter(_ metrics: EvaluationMetrics, than best: EvaluationMetrics?) -> Bool {
    best.map { value(metrics) > value($0) } ?? true
  }
}
