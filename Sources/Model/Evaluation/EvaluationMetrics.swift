import Tensor

/// How well scores predict labels, by the definitions of the field's papers and of the PyTorch reference; every number is
/// scikit-learn's with `zero_division=0`.
///
/// A label is predicted where its score is above its threshold. A quotient with nothing below the line is 0.
public struct EvaluationMetrics: Codable, Sendable, Equatable {
  /// 2 · hits / (predicted + true), over all samples and labels.
  public let microF1: Double
  /// Hits / predicted, over all samples and labels.
  public let precision: Double
  /// Hits / true, over all samples and labels.
  public let recall: Double
  /// Jaccard: the mean over samples of |predicted ∩ true| / |predicted ∪ true|; an empty union counts 0.
  public let accuracy: Double
  /// The mean over labels of each label's F1.
  public let macroF1: Double
  /// The mean over labels of average precision: the mean over a label's true samples of the precision among the
  /// samples that score at least as high. Equal scores count together, so the order of samples does not matter. 0 for a
  /// label without a true sample. It knows no threshold.
  public let meanAveragePrecision: Double
  /// The mean over samples and labels of the binary cross-entropy of scores, natural logarithms of at least -100, as
  /// PyTorch's `binary_cross_entropy`. It knows no threshold. Nil in the files of earlier versions.
  public let crossEntropy: Double?
  /// Each label's F1 by its name.
  public let labelF1: [String: Double]

  private enum CodingKeys: String, CodingKey {
    case microF1 = "micro_f1"
    case precision
    case recall
    case accuracy
    case macroF1 = "macro_f1"
    case meanAveragePrecision = "mAP"
    case crossEntropy = "cross_entropy"
    case labelF1 = "label_f1"
  }

  /// - Parameters:
  ///   - scores: [N, C], row-major; none is NaN, which can't be ranked.
  ///   - labels: [N, C], row-major, of 0 and 1.
  ///   - labelNames: C different names.
  ///   - thresholds: C of them.
  package init(
    scores: UnsafeBufferPointer<Float>, labels: UnsafeBufferPointer<Float>, labelNames: [String], thresholds: [Float]
  ) {
    let c = labelNames.count
    precondition(thresholds.count == c, "\(thresholds.count) thresholds for \(c) labels")
    let n = scores.count / max(c, 1)
    var jaccard = 0.0
    let counts = LabelCounts(scores: scores, labels: labels, thresholds: thresholds) { predicted, actual, hits in
      jaccard += Double(hits) / Double(max(predicted + actual - hits, 1))
    }
    let all = (
      hits: counts.hits.reduce(0, +), predicted: counts.predicted.reduce(0, +), actual: counts.actual.reduce(0, +)
    )
    microF1 = LabelCounts.quotient(2 * all.hits, all.predicted + all.actual)
    precision = LabelCounts.quotient(all.hits, all.predicted)
    recall = LabelCounts.quotient(all.hits, all.actual)
    accuracy = jaccard / Double(max(n, 1))
    let f1 = (0..<c).map(counts.f1)
    macroF1 = f1.reduce(0, +) / Double(c)
    labelF1 = Dictionary(zip(labelNames, f1), uniquingKeysWith: { first, _ in first })
    let precisions = (0..<c).map { Self.averagePrecision(of: $0, scores, labels, samples: n, labelCount: c) }
    meanAveragePrecision = precisions.reduce(0, +) / Double(c)
    var entropy = 0.0
    for (score, label) in zip(scores, labels) {
      let probability = Double(label > 0 ? score : 1 - score)
      entropy -= probability > 0 ? max(logarithm(probability), -100) : -100
    }
    crossEntropy = entropy / Double(max(scores.count, 1))
  }

  static func averagePrecision(
    of label: Int, _ scores: UnsafeBufferPointer<Float>, _ labels: UnsafeBufferPointer<Float>, samples: Int,
    labelCount: Int
  ) -> Double {
    let ranking = (0..<samples).map { (score: scores[$0 * labelCount + label], sample: $0) }
      .sorted { $0.score > $1.score }
    var found = 0
    var foundHigher = 0
    var sum = 0.0
    for (rank, item) in ranking.enumerated() {
      if labels[item.sample * labelCount + label] > 0 { found += 1 }
      // The precision at the end of each group of equal scores is that of all true samples in it.
      if rank + 1 < samples && ranking[rank + 1].score == item.score { continue }
      sum += Double(found - foundHigher) * Double(found) / Double(rank + 1)
      foundHigher = found
    }
    return sum / Double(max(found, 1))
  }
}
