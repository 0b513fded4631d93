import Testing

@testable import Model

struct StepResultTests {
  @Test func sumsSamplesAndWeighsTerms() throws {
    let exchange = try Exchange(tinyConfiguration(), batchSize: 3, in: testArena)
    for b in 0..<3 { for t in 0..<9 { exchange.terms[b, t] = Float(b + 1) * Float(t + 1) } }
    var weights = LossWeights()
    for term in LossTerm.allCases { weights[term] = 0 }
    weights[.plainBCE] = 2
    weights[.contrastive] = 0.5
    weights[.shuffledBCE] = 1
    let result = StepResult(exchange, contrastive: 7, weights, rate: 0.25)
    #expect(result.terms[.plainBCE] == 6 && result.terms[.shuffledBCE] == 54 && result.terms[.alphaMSE] == 36)
    // Not the buffer's unused column.
    #expect(result.terms[.contrastive] == 7)
    #expect(result.loss == 69.5)  // 2 · 6 + 0.5 · 7 + 1 · 54
    #expect(result.rate == 0.25 && result.terms.count == 9)
  }
}
