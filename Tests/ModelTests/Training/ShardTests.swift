import Parallel
import Testing

@testable import Model

struct ShardTests {
  @Test(arguments: [(8, 3), (5, 2), (4, 1), (3, 0), (0, 0)]) func takesWhatTheBatchHas(_ inBatch: Int, _ count: Int)
    throws
  {
    let c = tinyConfiguration()
    let model = CARAT(c)
    let exchange = try Exchange(c, batchSize: 9, in: testArena)
    // The second of three shards of three; its first sample is the batch's fourth.
    let shard = try Shard(model, index: 1, samples: 3..<6, exchange: exchange, in: testArena)
    let batch = Batch(c, capacity: 9)
    let source = try RandomSource(c, count: 20)
    batch.fill(0..<9, of: source)
    shard.load(batch)
    #expect(shard.count == 3 && shard.first == 3 && shard.index == 1 && shard.capacity == 3)
    #expect(shard.liveRows == 81..<162)

    batch.fill((0..<inBatch).map { 10 + $0 }, of: source)
    shard.load(batch)
    #expect(shard.count == count)
    #expect(shard.liveRows.count == 27 * count && shard.unit.live.rows == 27 * count)
    #expect(shard.unitGradient.rows == 27 * count)
    for m in 0..<3 {
      let lengths = (0..<count).map { source.length(sample: 13 + $0, modality: m) }
      let sequences = shard.encoders[m].sequences
      #expect(sequences.count == count && sequences.rowCount == lengths.reduce(0, +))
      #expect(shard.hidden(m).rows == sequences.rowCount)
      #expect(shard.plain(m).rows == 3 * count && shard.plainGradient(m).rows == 3 * count)
      #expect(shard.mixWeights[m].rows == 3 * count)
      for s in 0..<count {
        let expected = try zeros(lengths[s], c.modalities[m].features)
        source.copyFeatures(sample: 13 + s, modality: m, steps: lengths[s], into: expected.base)
        #expect(values(shard.encoders[m].embeddings.features.rows(sequences.rows(s))) == values(expected))
      }
    }
    for level in Reconstruction.Level.allCases {
      let pooled = shard.pooled(level)
      #expect(pooled.each.rows == 3 * count && pooled.logits.rows == count && pooled.gradient.rows == count)
    }
    if count > 0 { #expect(shard.unit.live.base == exchange.live.row(81)) }
  }
}
