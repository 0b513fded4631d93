import Testing

@testable import Model

struct BatchTests {
  @Test func takesSamplesByNumber() throws {
    let c = tinyConfiguration()
    let source = try RandomSource(c, count: 9)
    let batch = Batch(c, capacity: 4)
    #expect(batch.count == 0)
    batch.fill([8, 2, 2], of: source)
    #expect(batch.count == 3 && batch.capacity == 4)
    for (i, sample) in [8, 2, 2].enumerated() {
      #expect(values(batch.labels.rows(i..<i + 1)) == Array(source.labels(ofSample: sample)))
      for m in 0..<3 {
        let T = source.length(sample: sample, modality: m)
        #expect(batch.encodedSteps(sample: i, modality: m) == (T, T))
        let (own, expected) = (try zeros(T, c.modalities[m].features), try zeros(T, c.modalities[m].features))
        batch.copyFeatures(sample: i, modality: m, into: own)
        source.copyFeatures(sample: sample, modality: m, steps: T, into: expected.base)
        #expect(values(own) == values(expected) && values(own).contains { $0 != 0 })
      }
    }
    batch.fill([Int](), of: source)
    #expect(batch.count == 0)
  }

  /// Rows and steps that are no padding, of a sample of 1 step of 4, by the kind of padding, aligned and not.
  @Test func stepsOfTheEncoder() throws {
    var c = tinyConfiguration()
    c.modalities[2].alignedSteps = 3
    let source = try RandomSource(c, count: 9)
    let sample = try #require((0..<9).first { source.length(sample: $0, modality: 0) == 1 })
    let expected: [(ModelConfiguration.Padding, (Int, Int))] = [(.attend, (4, 4)), (.mask, (1, 4)), (.packed, (1, 1))]
    for (padding, steps) in expected {
      c.padding = padding
      let batch = Batch(c, capacity: 1)
      batch.fill([sample], of: source)
      #expect(batch.encodedSteps(sample: 0, modality: 0) == steps)
      #expect(batch.encodedSteps(sample: 0, modality: 2) == (3, 3) && batch.steps(modality: 2) == 5)
    }
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
