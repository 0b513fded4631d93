import Tensor

/// How far metrics would vary had other samples of the same kind been measured: percentile bootstrap over samples.
package struct ConfidenceIntervals: Encodable, Sendable {
  /// The share of resamples within an interval.
  package let level = 0.95
  package let resamples: Int
  package let seed: UInt64
  /// From a lower to an upper end, by the metric's name in JSON.
  package let intervals: [String: [Double]]

  private static let metrics: [(name: String, value: @Sendable (EvaluationMetrics) -> Double)] = [
    ("micro_f1", { $0.microF1 }), ("macro_f1", { $0.macroF1 }), ("mAP", { $0.meanAveragePrecision }),
    ("accuracy", { $0.accuracy }), ("precision", { $0.precision }), ("recall", { $0.recall }),
  ]

  /// - Parameters:
  ///   - scores: [N, C], row-major, N at least 1.
  ///   - labels: [N, C], row-major, of 0 and 1.
  ///   - thresholds: C of them.
  ///   - resamples: of N samples each, drawn with replacement; at least 1.
  package init(
    scores: [Float], labels: [Float], labelNames: [String], thresholds: [Float], resamples: Int, seed: UInt64 = 0
  ) {
    (self.resamples, self.seed) = (resamples, seed)
    let c = labelNames.count
    let n = scores.count / c
    var random = SplitMix64(seed: seed)
    var values = Self.metrics.map { _ in [Double]() }
    var (drawnScores, drawnLabels) = (scores, labels)
    for _ in 0..<resamples {
      for row in 0..<n {
        // The upper half of 64 bits times N: evenly spread to within N / 2^32.
        let drawn = Int(((random.next() >> 32) &* UInt64(n)) >> 32)
        for label in 0..<c {
          drawnScores[row * c + label] = scores[drawn * c + label]
          drawnLabels[row * c + label] = labels[drawn * c + label]
        }
      }
      let metrics = drawnScores.withUnsafeBufferPointer { scores in
        drawnLabels.withUnsafeBufferPointer {
          EvaluationMetrics(scores: scores, labels: $0, labelNames: labelNames, thresholds: thresholds)
        }
      }
      for (i, metric) in Self.metrics.enumerated() { values[i].append(metric.value(metrics)) }
    }
    let level = level
    intervals = Dictionary(
      uniqueKeysWithValues: zip(Self.metrics, values).map { metric, values in
        (metric.name, [(1 - level) / 2, (1 + level) / 2].map { Self.quantile(values.sorted(), $0) })
      })
  }

  /// Between two neighbours in proportion, as NumPy's `quantile`.
  static func quantile(_ sorted: [Double], _ share: Double) -> Double {
    let place = share * Double(sorted.count - 1)
    let below = Int(place)
    let above = min(below + 1, sorted.count - 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
  }
}
