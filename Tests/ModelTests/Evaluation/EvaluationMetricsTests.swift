import Foundation
import Model
import Testing

@Suite struct EvaluationMetricsTests {
  static func metrics(_ scores: [Float], _ labels: [Float], _ names: [String], threshold: Float) -> EvaluationMetrics {
    scores.withUnsafeBufferPointer { scores in
      labels.withUnsafeBufferPointer {
        EvaluationMetrics(
          scores: scores, labels: $0, labelNames: names, thresholds: Array(repeating: threshold, count: names.count))
      }
    }
  }

  static func report(_ scores: [Float], _ labels: [Float], _ names: [String], threshold: Float) -> EvaluationReport {
    scores.withUnsafeBufferPointer { scores in
      labels.withUnsafeBufferPointer {
        EvaluationReport(
          scores: scores, labels: $0, labelNames: names, thresholds: Array(repeating: threshold, count: names.count))
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
    let right = zip(scores, labels).map { $1 > 0 ? Double($0) : Double(1 - $0) }
    let entropy = try #require(m.crossEntropy)
    #expect(abs(entropy + right.map { log($0) }.reduce(0, +) / 8) < 1e-14)
    // A certain mistake counts as PyTorch counts it.
    #expect(Self.metrics([0, 1], [1, 1], ["a"], threshold: 0.5).crossEntropy == 50)
  }

  private struct Recorded: Decodable {
    struct Case: Decodable {
      let name: String
      let threshold: Float
      let scores: [[Float]]
      let labels: [[Float]]
      let expected: [String: Value]
    }

    enum Value: Decodable {
      case number(Double)
      case ofLabels([Double])

      init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self =
          if let number = try? container.decode(Double.self) {
            .number(number)
          } else {
            .ofLabels(try container.decode([Double].self))
          }
      }
    }

    let cases: [Case]
  }

  /// Random and equal scores, labels that no sample has or all have, nothing predicted, nothing true; the samples as they
  /// are and turned around.
  @Test(arguments: [false, true]) func scikitLearnsValues(turned: Bool) throws {
    let golden = try #require(Bundle.module.url(forResource: "Golden", withExtension: nil))
    let recorded = try JSONDecoder().decode(
      Recorded.self, from: Data(contentsOf: golden.appendingPathComponent("metrics.json")))
    #expect(recorded.cases.count > 10)
    for recorded in recorded.cases {
      let names = recorded.scores[0].indices.map { "label\($0)" }
      func flat(_ rows: [[Float]]) -> [Float] { Array((turned ? rows.reversed() : rows).joined()) }
      let m = Self.metrics(flat(recorded.scores), flat(recorded.labels), names, threshold: recorded.threshold)
      let report = Self.report(flat(recorded.scores), flat(recorded.labels), names, threshold: recorded.threshold)
      let found = [
        "micro_f1": m.microF1, "precision": m.precision, "recall": m.recall, "accuracy": m.accuracy,
        "macro_f1": m.macroF1, "mAP": m.meanAveragePrecision, "macro_precision": report.macroPrecision,
        "macro_recall": report.macroRecall, "weighted_f1": report.weightedF1, "samples_f1": report.samplesF1,
        "hamming_loss": report.hammingLoss, "subset_accuracy": report.subsetAccuracy,
        "ranking_loss": report.rankingLoss,
      ]
      func close(_ a: Double?, _ b: Double) -> Bool { a.map { abs($0 - b) < 1e-12 } ?? false }
      var seen = Set<String>()
      for (key, expected) in recorded.expected {
        switch expected {
        case .number(let number):
          seen.insert(key)
          #expect(close(found[key], number), "\(recorded.name), \(key): \(found[key] ?? .nan), not \(number)")
        case .ofLabels(let numbers) where key == "label_f1":
          for (name, number) in zip(names, numbers) {
            #expect(close(m.labelF1[name], number), "\(recorded.name), F1 of \(name)")
          }
          #expect(zip(report.labels, numbers).allSatisfy { close($0.f1, $1) }, "\(recorded.name)")
        case .ofLabels(let numbers):
          let own = report.labels.map { label in
            switch key {
            case "label_average_precision": label.averagePrecision
            case "label_precision": label.precision
            case "label_recall": label.recall
            default: Double.nan
            }
          }
          #expect(zip(own, numbers).allSatisfy { close($0, $1) }, "\(recorded.name), \(key): \(own), not \(numbers)")
        }
      }
      #expect(seen == Set(found.keys), "\(recorded.name)")
    }
  }

  @Test func equalScoresHaveNoOrder() {
    let early = Self.metrics([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], ["a"], threshold: 0.5)
    let late = Self.metrics([0.5, 0.5, 0.5, 0.5], [0, 0, 0, 1], ["a"], threshold: 0.5)
    #expect(early.meanAveragePrecision == 0.25 && late.meanAveragePrecision == 0.25)
    // Groups of one, two and one: a precision of 2/3 at the end of the second, which has both true samples.
    let groups = Self.metrics([0.9, 0.5, 0.5, 0.1], [0, 1, 1, 0], ["a"], threshold: 0.5)
    #expect(groups.meanAveragePrecision == 2.0 / 3)
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
      Set(object.keys) == [
        "micro_f1", "precision", "recall", "accuracy", "macro_f1", "mAP", "cross_entropy", "label_f1",
      ])
    #expect(try JSONDecoder().decode(EvaluationMetrics.self, from: data) == m)
  }
}
