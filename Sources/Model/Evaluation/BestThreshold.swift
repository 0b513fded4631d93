import Tensor

/// The one threshold over all labels that gives the highest micro-F1 on given labels.
package struct BestThreshold: Sendable {
  /// A label is predicted where its score is above this.
  package let threshold: Float
  package let microF1: Double

  /// Scores and labels [N, C] in the same order, labels 0 or 1, no score NaN. Without any true label, micro-F1 is 0.
  package init(scores: [Float], labels: [Float]) {
    precondition(scores.count == labels.count, "\(scores.count) scores, \(labels.count) labels")
    precondition(!scores.contains { $0.isNaN }, "a score that is no number")
    let ranking = zip(scores, labels).sorted { $0.0 > $1.0 }
    let actual = labels.reduce(0) { $0 + ($1 > 0 ? 1 : 0) }
    var best = (threshold: Float.infinity, microF1: 0.0)
    var hits = 0
    for (i, item) in ranking.enumerated() {
      if item.1 > 0 { hits += 1 }
      // Equal scores fall on the same side of any threshold.
      if i + 1 < ranking.count && ranking[i + 1].0 == item.0 { continue }
      let microF1 = 2 * Double(hits) / Double(i + 1 + actual)
      if microF1 > best.microF1 {
        best = (i + 1 < ranking.count ? (item.0 + ranking[i + 1].0) / 2 : item.0.nextDown, microF1)
        // The mean of two neighbouring numbers may round up to the higher.
        if best.threshold >= item.0 { best.threshold = ranking[i + 1].0 }
      }
    }
    threshold = best.threshold
    microF1 = best.microF1
  }
}
