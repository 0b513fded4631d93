import Testing

@testable import Model

struct ExchangeTests {
  /// Label c of modality m is class c + C (2m + (0 where positive, 1 where negative)), the same at all levels.
  @Test func classesAreTheReferences() throws {
    let c = tinyConfiguration()
    let exchange = try Exchange(c, batchSize: 2, in: testArena)
    for (label, isPositive) in [true, false, true].enumerated() {
      exchange.classify(sample: 1, label: label, isPositive: isPositive, modalities: 3)
    }
    let own = (0..<54).map { exchange.liveClasses[$0] }
    #expect(Array(own[..<27]) == [Int32](repeating: 0, count: 27))
    let level: [Int32] = [0, 4, 2, 6, 10, 8, 12, 16, 14]
    #expect(Array(own[27...]) == level + level + level)
  }
}
