import Tensor

/// Of each label: samples that it was predicted for, that have it, and both.
struct LabelCounts {
  private(set) var hits: [Int]
  private(set) var predicted: [Int]
  private(set) var actual: [Int]

  /// - Parameters:
  ///   - scores: [N, C], row-major; none is NaN, which can't be ranked.
  ///   - labels: [N, C], row-major, of 0 and 1.
  ///   - thresholds: C of them; a label is predicted where its score is above its own.
  ///   - sample: hears of each sample how many labels it was predicted, how many it has, and how many of both.
  init(
    scores: UnsafeBufferPointer<Float>, labels: UnsafeBufferPointer<Float>, thresholds: [Float],
    sample: (_ predicted: Int, _ actual: Int, _ hits: Int) -> Void
  ) {
    let c = thresholds.count
    precondition(c > 0 && scores.count % c == 0, "\(scores.count) scores for \(c) labels")
    precondition(scores.count == labels.count, "\(scores.count) scores, \(labels.count) labels")
    precondition(!scores.contains { $0.isNaN }, "a score that is no number")
    (hits, predicted, actual) = (
      [Int](repeating: 0, count: c), [Int](repeating: 0, count: c), [Int](repeating: 0, count: c)
    )
    for first in stride(from: 0, to: scores.count, by: c) {
      var own = (predicted: 0, actual: 0, hits: 0)
      for label in 0..<c {
        let (isPredicted, isTrue) = (scores[first + label] > thresholds[label], labels[first + label] > 0)
        if isPredicted { (own.predicted, predicted[label]) = (own.predicted + 1, predicted[label] + 1) }
        if isTrue { (own.actual, actual[label]) = (own.actual + 1, actual[label] + 1) }
        if isPredicted && isTrue { (own.hits, hits[label]) = (own.hits + 1, hits[label] + 1) }
      }
      sample(own.predicted, own.actual, own.hits)
    }
  }

  func precision(_ label: Int) -> Double { Self.quotient(hits[label], predicted[label]) }
  func recall(_ label: Int) -> Double { Self.quotient(hits[label], actual[label]) }
  func f1(_ label: Int) -> Double { Self.quotient(2 * hits[label], predicted[label] + actual[label]) }

  /// 0 where nothing is below the line.
  static func quotient(_ above: Int, _ below: Int) -> Double { below == 0 ? 0 : Double(above) / Double(below) }
}
