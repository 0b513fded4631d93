import Testing

@testable import Model

struct StepResultTests {
  @Test func sumsSamplesAndWeighsTerms() throws {
    let exchange = try Exchange(tinyConfiguration(), batchSize: 3, in: testArena)
    // In three parts.
    for b in 0..<3 {
      for term in LossTerm.allCases {
        for part in 0..<3 { exchange.setTerm(term, sample: b, part: part, Float(b + 1) * Float(term.index + 1) / 3) }
      }
    }
    var weights = LossWeights()
    for term in LossTerm.allCases { weights[term] = 0 }
    weights[.plainBCE] = 2
    weights[.contrastive] = 0.5
    weights[.shuffledBCE] = 1
    let result = StepResult(exchange, contrastive: 7, weights, rate: 0.25)
    #expect(abs((result.terms[.plainBCE] ?? 0) - 6) < 1e-6 && abs((result.terms[.shuffledBCE] ?? 0) - 54) < 1e-5)
    // Not the buffer's unused columns.
    #expect(result.terms[.contrastive] == 7)
    #expect(abs(result.loss - 69.5) < 1e-5)  // 2 · 6 + 0.5 · 7 + 1 · 54
    #expect(result.rate == 0.25 && result.terms.count == 9)
  }
}
