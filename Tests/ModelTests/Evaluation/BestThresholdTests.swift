@testable import Model
import Tensor
import Testing

@Suite struct BestThresholdTests {
  /// Against trying every threshold, with many equal scores.
  @Test func noThresholdIsBetter() {
    var random = SplitMix64(seed: 3)
    for count in [1, 2, 3, 10, 60] {
      for _ in 0..<50 {
        let scores = (0..<count).map { _ in Float(Int.random(in: 0..<12, using: &random)) / 12 }
        let labels = scores.map { Float.random(in: 0..<1.5, using: &random) < $0 ? Float(1) : 0 }
        func microF1(_ threshold: Float) -> Double {
          EvaluationMetricsTests.metrics(scores, labels, ["a"], threshold: threshold).microF1
        }
        let best = BestThreshold(scores: scores, labels: labels)
        #expect(best.microF1 == (scores + [-1]).map(microF1).max())
        #expect(best.microF1 == microF1(best.threshold))
      }
    }
  }

  @Test func neighbouringNumbers() {
    let low: Float = 0.5
    let best = BestThreshold(scores: [low, low.nextUp], labels: [0, 1])
    #expect(best.microF1 == 1 && best.threshold >= low && best.threshold < low.nextUp)
  }
}

struct ThresholdTuningTests {
  /// Two labels whose best thresholds differ, and one that no sample has.
  @Test func oneForAllOrOneALabel() {
    let scores: [Float] = [0.9, 0.1, 0.5, 0.8, 0.2, 0.5, 0.3, 0.15, 0.5, 0.2, 0.05, 0.5]
    let labels: [Float] = [1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    let each = ThresholdTuning.label.thresholds(scores: scores, labels: labels, labelCount: 3, fallback: 0.25)
    #expect(each[0] >= 0.3 && each[0] < 0.8 && each[1] >= 0.1 && each[1] < 0.15 && each[2] == 0.25)
    let all = ThresholdTuning.global.thresholds(scores: scores, labels: labels, labelCount: 3, fallback: 0.25)
    #expect(Set(all).count == 1 && all[0] == BestThreshold(scores: scores, labels: labels).threshold)
    func metrics(_ thresholds: [Float]) -> EvaluationMetrics {
      scores.withUnsafeBufferPointer { scores in
        labels.withUnsafeBufferPointer {
          EvaluationMetrics(scores: scores, labels: $0, labelNames: ["a", "b", "c"], thresholds: thresholds)
        }
      }
    }
    #expect(metrics(each).labelF1["a"] == 1 && metrics(each).labelF1["b"] == 1)
    #expect(metrics(all).microF1 < metrics([each[0], each[1], 1]).microF1)
  }
}
