/// What a label's scores predict at thresholds from 0 to 1 in equal distances, as TensorBoard's page of precision and recall
/// shows it: a label is predicted where its score is at least the threshold.
package struct PrecisionRecallCurve {
  package let truePositives: [Int]
  package let falsePositives: [Int]
  package let trueNegatives: [Int]
  package let falseNegatives: [Int]
  /// 0 where nothing is predicted, or nothing is true.
  package let precision: [Double]
  package let recall: [Double]

  package static let thresholds = 201

  /// - Parameters:
  ///   - scores: between 0 and 1, none is NaN.
  ///   - truths: of each score, whether the sample has the label.
  package init(scores: some Collection<Float>, truths: some Collection<Bool>) {
    var (hits, others) = ([Int](repeating: 0, count: Self.thresholds), [Int](repeating: 0, count: Self.thresholds))
    for (score, isTrue) in zip(scores, truths) {
      // The last threshold that the score reaches.
      let place = Int(min(max(score, 0), 1) * Float(Self.thresholds - 1))
      if isTrue { hits[place] += 1 } else { others[place] += 1 }
    }
    func predicted(_ counts: [Int]) -> [Int] {
      Array(counts.reversed().reduce(into: [Int]()) { $0.append(($0.last ?? 0) + $1) }.reversed())
    }
    let (tp, fp) = (predicted(hits), predicted(others))
    (truePositives, falsePositives) = (tp, fp)
    trueNegatives = fp.map { fp[0] - $0 }
    falseNegatives = tp.map { tp[0] - $0 }
    func quotient(_ above: Int, _ below: Int) -> Double { below == 0 ? 0 : Double(above) / Double(below) }
    precision = zip(tp, fp).map { quotient($0, $0 + $1) }
    recall = tp.map { quotient($0, tp[0]) }
  }
}
