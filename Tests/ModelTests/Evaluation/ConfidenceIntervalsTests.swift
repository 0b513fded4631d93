import Testing

@testable import Model

@Suite struct ConfidenceIntervalsTests {
  /// Of one label, N samples of which a share k / N is right: the share among N drawn is binomial, nearly normal.
  @Test func theIntervalOfAShareIsTheBinomials() throws {
    let (n, right) = (400, 300)
    let labels = [Float](repeating: 1, count: n)
    let scores = (0..<n).map { Float($0 < right ? 1 : 0) }
    let found = ConfidenceIntervals(
      scores: scores, labels: labels, labelNames: ["a"], thresholds: [0.5], resamples: 4000)
    let recall = try #require(found.intervals["recall"])
    let share = Double(right) / Double(n)
    let deviation = (share * (1 - share) / Double(n)).squareRoot()
    #expect(abs(recall[0] - (share - 1.96 * deviation)) < 0.1 * deviation + 1 / Double(n), "\(recall)")
    #expect(abs(recall[1] - (share + 1.96 * deviation)) < 0.1 * deviation + 1 / Double(n), "\(recall)")
    // Whatever is drawn, what is predicted is true.
    #expect(found.intervals["precision"] == [1, 1])
  }

  @Test func quantilesAreNumPys() {
    // numpy.quantile([1, 2, 4, 8], [0.025, 0.5, 0.975])
    #expect(abs(ConfidenceIntervals.quantile([1, 2, 4, 8], 0.025) - 1.075) < 1e-12)
    #expect(ConfidenceIntervals.quantile([1, 2, 4, 8], 0.5) == 3)
    #expect(abs(ConfidenceIntervals.quantile([1, 2, 4, 8], 0.975) - 7.7) < 1e-12)
    #expect(ConfidenceIntervals.quantile([5], 0.3) == 5)
  }
}
