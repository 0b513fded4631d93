import Model
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
