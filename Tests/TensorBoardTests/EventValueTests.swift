import Foundation
import Testing

@testable import TensorBoard

struct EventValueTests {
  @Test func histograms() throws {
    let values: [Float] = [-1, 0, 0, 0.5, 3] + Array(repeating: 2.99, count: 7)
    let histogram = try #require(
      values.withUnsafeBufferPointer { Histogram(of: [.init(rebasing: $0[..<5]), .init(rebasing: $0[5...])]) })
    #expect(histogram.count == 12 && histogram.minimum == -1 && histogram.maximum == 3)
    #expect(abs(histogram.sum - (2.5 + 7 * 2.99)) < 1e-5 && abs(histogram.sumOfSquares - (10.25 + 7 * 8.9401)) < 1e-4)
    let limits = histogram.limits
    #expect(limits.count == 64 && limits[0] == -0.9375 && limits[63] == 3)
    for (i, count) in histogram.counts.enumerated() {
      let low = i == 0 ? -1.0 : limits[i - 1]
      let expected = values.count { Double($0) >= low && (Double($0) < limits[i] || i == 63) }
      #expect(count == expected, "bucket \(i)")
    }
  }

  @Test func histogramsOfEqualOrUnusableValues() {
    func histogram(_ values: [Float]) -> Histogram? { values.withUnsafeBufferPointer { Histogram(of: [$0]) } }
    let equal = histogram([2, 2, 2])
    #expect(equal?.minimum == 2 && equal?.maximum == 2 && equal?.counts[0] == 3)
    #expect(histogram([]) == nil && histogram([1, .nan]) == nil && histogram([1, -.infinity]) == nil)
    let widest = histogram([-.greatestFiniteMagnitude, .greatestFiniteMagnitude])
    #expect(widest?.counts[0] == 1 && widest?.counts[63] == 1)
    #expect(histogram([0, .leastNonzeroMagnitude])?.counts[63] == 1)
  }

  /// Beside counts threshold by threshold.
  @Test func curves() {
    let scores: [Float] = [0, 0.1, 0.3, 0.3, 0.52, 0.9, 1]
    let truths = [false, true, false, true, false, true, true]
    let curve = PrecisionRecallCurve(scores: scores, truths: truths)
    for i in 0...200 {
      let threshold = Float(i) / 200
      func count(_ isTrue: Bool, _ isPredicted: Bool) -> Int {
        zip(scores, truths).count { ($0 >= threshold) == isPredicted && $1 == isTrue }
      }
      #expect(curve.truePositives[i] == count(true, true) && curve.falsePositives[i] == count(false, true), "\(i)")
      #expect(curve.trueNegatives[i] == count(false, false) && curve.falseNegatives[i] == count(true, false), "\(i)")
    }
    #expect(curve.recall[0] == 1 && curve.precision[0] == 4.0 / 7 && curve.recall[200] == 0.25)
    let none = PrecisionRecallCurve(scores: scores.dropLast(), truths: [Bool](repeating: false, count: 6))
    #expect(none.precision.allSatisfy { $0 == 0 } && none.recall.allSatisfy { $0 == 0 })
  }
}
