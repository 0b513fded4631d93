import Tensor

/// How well scores predict labels, by the definitions of the field's papers and of the PyTorch reference; every number is
/// scikit-learn's with `zero_division=0`.
///
/// A label is predicted where its score is above the threshold. A quotient with nothing below the line is 0.
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
  /// Each label's F1 by its name.
  public let labelF1: [String: Double]

  private enum CodingKeys: String, CodingKey {
    case microF1 = "micro_f1"
    case precision
    case recall
    case accuracy
    case macroF1 = "macro_f1"
    case meanAveragePrecision = "mAP"
    case labelF1 = "label_f1"
  }

  /// - Parameters:
  ///   - scores: [N, C], row-major; none is NaN, which can't be ranked.
  ///   - labels: [N, C], row-major, of 0 and 1.
  ///   - labelNames: C different names.
  package init(
    scores: UnsafeBufferPointer<Float>, labels: UnsafeBufferPointer<Float>, labelNames: [String], threshold: Float
  ) {
    let c = labelNames.count
    precondition(c > 0 && scores.count % c == 0, "\(scores.count) scores for \(c) labels")
    precondition(scores.count == labels.count, "\(scores.count) scores, \(labels.count) labels")
    precondition(!scores.contains { $0.isNaN }, "a score that is no number")
    let n = scores.count / c
    var hits = [Int](repeating: 0, count: c)
    var predicted = hits
    var actual = hits
    var jaccard = 0.0
    for sample in 0..<n {
      var both = 0
      var either = 0
      for label in 0..<c {
        let isPredicted = scores[sample * c + label] > threshold
        let isTrue = labels[sample * c + label] > 0
        if isPredicted { predicted[label] += 1 }
        if isTrue { actual[label] += 1 }
        if isPredicted && isTrue { both += 1; hits[label] += 1 }
        if isPredicted || isTrue { either += 1 }
      }
      jaccard += Double(both) / Double(max(either, 1))
    }
    let all = (hits: hits.reduce(0, +), predicted: predicted.reduce(0, +), actual: actual.reduce(0, +))
    microF1 = Self.quotient(2 * all.hits, all.predicted + all.actual)
    precision = Self.quotient(all.hits, all.predicted)
    recall = Self.quotient(all.hits, all.actual)
    accuracy = jaccard / Double(max(n, 1))
    let f1 = (0..<c).map { Self.quotient(2 * hits[$0], predicted[$0] + actual[$0]) }
    macroF1 = f1.reduce(0, +) / Double(c)
    labelF1 = Dictionary(zip(labelNames, f1), uniquingKeysWith: { first, _ in first })
    let precisions = (0..<c).map { Self.averagePrecision(of: $0, scores, labels, samples: n, labelCount: c) }
    meanAveragePrecision = precisions.reduce(0, +) / Double(c)
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

  static func quotient(_ above: Int, _ below: Int) -> Double {
    below == 0 ? 0 : Double(above) / Double(below)
  }
}
