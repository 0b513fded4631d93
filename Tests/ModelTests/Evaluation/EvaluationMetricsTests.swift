import Foundation
import Model
import Testing

@Suite struct EvaluationMetricsTests {
  static func metrics(_ scores: [Float], _ labels: [Float], _ names: [String], threshold: Float) -> EvaluationMetrics {
    scores.withUnsafeBufferPointer { scores in
      labels.withUnsafeBufferPointer {
        EvaluationMetrics(scores: scores, labels: $0, labelNames: names, threshold: threshold)
      }
    }
  }

  @Test func computedByHand() throws {
    // Four samples, two labels; a score equal to the threshold is not above it.
    let scores: [Float] = [0.9, 0.1, 0.8, 0.6, 0.25, 0.3, 0.7, 0.2]
    let labels: [Float] = [1, 0, 0, 1, 1, 0, 0, 0]
    let m = Self.metrics(scores, labels, ["a", "b"], threshold: 0.25)
    // a: predicted samples 0, 1, 3, true 0, 2: one hit. b: predicted 1, 2, true 1: one hit.
    #expect(m.microF1 == 4.0 / 8)
    #expect(m.precision == 2.0 / 5)
    #expect(m.recall == 2.0 / 3)
    // Sample by sample 1/1, 1/2, 0/2, 0/1.
    #expect(m.accuracy == 1.5 / 4)
    #expect(m.labelF1 == ["a": 2.0 / 5, "b": 2.0 / 3])
    #expect(abs(m.macroF1 - (2.0 / 5 + 2.0 / 3) / 2) < 1e-15)
    // a ranks 0, 1, 3, 2: hits at ranks 1 and 4; b ranks 1, 2, 3, 0: a hit at rank 1.
    #expect(abs(m.meanAveragePrecision - ((1 + 2.0 / 4) / 2 + 1) / 2) < 1e-15)
  }

  @Test func equalScoresRankInTheOrderOfSamples() {
    let early = Self.metrics([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], ["a"], threshold: 0.5)
    let late = Self.metrics([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 1], ["a"], threshold: 0.5)
    #expect(early.meanAveragePrecision == 1 && late.meanAveragePrecision == 0.25)
    let nan = Self.metrics([.nan, 0, -.infinity, .nan], [1, 0, 0, 1], ["a"], threshold: 0.5)
    #expect(nan.meanAveragePrecision == (1.0 / 3 + 2.0 / 4) / 2 && nan.microF1 == 0)
  }

  @Test func nothingBelowTheLineIsZero() {
    for labels in [[0, 0], []] as [[Float]] {
      let m = Self.metrics(labels, labels, ["a", "b"], threshold: 0.5)
      let all = [m.microF1, m.precision, m.recall, m.accuracy, m.macroF1, m.meanAveragePrecision]
      #expect(all == [0, 0, 0, 0, 0, 0])
      #expect(m.labelF1 == ["a": 0, "b": 0])
    }
  }

  @Test func keysOfTheJSON() throws {
    let m = Self.metrics([1, 0], [1, 0], ["a", "b"], threshold: 0.5)
    let data = try JSONEncoder().encode(m)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(
      Set(object.keys) == ["micro_f1", "precision", "recall", "accuracy", "macro_f1", "mAP", "label_f1"])
    #expect(try JSONDecoder().decode(EvaluationMetrics.self, from: data) == m)
  }
}
