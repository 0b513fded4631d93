import Tensor

/// What `EvaluationMetrics` leaves out: each label by itself, and how samples do. Every number is scikit-learn's with
/// `zero_division=0`.
package struct EvaluationReport: Encodable, Sendable {
  package struct Label: Encodable, Sendable {
    package let name: String
    package let precision: Double
    package let recall: Double
    package let f1: Double
    package let averagePrecision: Double
    /// Samples that have it.
    package let support: Int
    /// It is predicted where its score is above this.
    package let threshold: Double

    private enum CodingKeys: String, CodingKey {
      case name, precision, recall, f1, support, threshold
      case averagePrecision = "average_precision"
    }
  }

  package let samples: Int
  package let labels: [Label]
  /// The means of the labels' precision and recall.
  package let macroPrecision: Double
  package let macroRecall: Double
  /// The mean of the labels' F1, weighted by support.
  package let weightedF1: Double
  /// The mean over samples of 2 |predicted ∩ true| / (|predicted| + |true|); 0 where both are empty.
  package let samplesF1: Double
  /// The share of all sample-label pairs that are wrong.
  package let hammingLoss: Double
  /// The share of samples whose labels are all right.
  package let subsetAccuracy: Double
  /// The mean over samples of the share of (true, absent) pairs of labels that are not ranked right; equal scores are not.
  package let rankingLoss: Double

  private enum CodingKeys: String, CodingKey {
    case samples, labels
    case macroPrecision = "macro_precision"
    case macroRecall = "macro_recall"
    case weightedF1 = "weighted_f1"
    case samplesF1 = "samples_f1"
    case hammingLoss = "hamming_loss"
    case subsetAccuracy = "subset_accuracy"
    case rankingLoss = "ranking_loss"
  }

  /// - Parameters: as of `EvaluationMetrics`.
  package init(
    scores: UnsafeBufferPointer<Float>, labels: UnsafeBufferPointer<Float>, labelNames: [String], thresholds: [Float]
  ) {
    let c = labelNames.count
    precondition(thresholds.count == c, "\(thresholds.count) thresholds for \(c) labels")
    let n = scores.count / max(c, 1)
    samples = n
    var (f1, wrong, right, ranking, first) = (0.0, 0, 0, 0.0, 0)
    let counts = LabelCounts(scores: scores, labels: labels, thresholds: thresholds) { predicted, actual, hits in
      let (range, wrongs) = (first..<first + c, predicted + actual - 2 * hits)
      f1 += LabelCounts.quotient(2 * hits, predicted + actual)
      wrong += wrongs
      right += wrongs == 0 ? 1 : 0
      var misranked = 0
      for i in range where labels[i] > 0 {
        misranked += range.count { labels[$0] <= 0 && scores[$0] >= scores[i] }
      }
      ranking += LabelCounts.quotient(misranked, actual * (c - actual))
      first += c
    }
    let each = labelNames.enumerated().map { i, name in
      Label(
        name: name, precision: counts.precision(i), recall: counts.recall(i), f1: counts.f1(i),
        averagePrecision: EvaluationMetrics.averagePrecision(of: i, scores, labels, samples: n, labelCount: c),
        support: counts.actual[i], threshold: Double(thresholds[i]))
    }
    self.labels = each
    let (count, support) = (Double(max(n, 1)), counts.actual.reduce(0, +))
    macroPrecision = each.reduce(0) { $0 + $1.precision } / Double(c)
    macroRecall = each.reduce(0) { $0 + $1.recall } / Double(c)
    weightedF1 = each.reduce(0) { $0 + $1.f1 * Double($1.support) } / Double(max(support, 1))
    samplesF1 = f1 / count
    hammingLoss = Double(wrong) / (count * Double(c))
    subsetAccuracy = Double(right) / count
    rankingLoss = ranking / count
  }
}
