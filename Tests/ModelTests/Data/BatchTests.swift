import Testing

@testable import Model

struct BatchTests {
  @Test func takesSamplesByNumber() throws {
    let c = tinyConfiguration()
    let source = try RandomSource(c, count: 9)
    let batch = Batch(c, capacity: 4)
    #expect(batch.count == 0 && batch.length(sample: 0, modality: 0) == 0)
    batch.fill([8, 2, 2], of: source, step: 6)
    #expect(batch.count == 3 && batch.capacity == 4 && batch.step == 6)
    for (i, sample) in [8, 2, 2].enumerated() {
      #expect(values(batch.labels.rows(i..<i + 1)) == Array(source.labels(ofSample: sample)))
      for m in 0..<3 {
        let T = source.length(sample: sample, modality: m)
        #expect(batch.length(sample: i, modality: m) == T)
        let (own, expected) = (try zeros(T, c.modalities[m].features), try zeros(T, c.modalities[m].features))
        batch.copyFeatures(sample: i, modality: m, into: own)
        source.copyFeatures(sample: sample, modality: m, steps: T, into: expected.base)
        #expect(values(own) == values(expected) && values(own).contains { $0 != 0 })
      }
    }
    batch.fill([Int](), of: source)
    #expect(batch.count == 0)
  }

  @Test func fillingKeepsTheShuffle() throws {
    let c = tinyConfiguration()
    let source = try RandomSource(c, count: 9)
    let batch = Batch(c, capacity: 4)
    batch.shuffle.draw(seed: 1, step: 1)
    let before = ShuffleTests.taken(batch.shuffle, 4, 3, 3)
    batch.fill(0..<4, of: source)
    #expect(ShuffleTests.taken(batch.shuffle, 4, 3, 3) == before)
  }
}
