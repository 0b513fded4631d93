import Parallel
import Testing

@Suite struct ShardPlanTests {
  @Test(arguments: [1, 2, 3, 5, 16, 24, 60], [1, 2, 3, 4, 5, 7, 13, 16, 64])
  func runsCoverTheShardsInOrder(shards: Int, workers: Int) throws {
    let plan = try ShardPlan(batchSize: shards * 4, shards: shards, workers: workers)
    let runs = (0..<workers).map(plan.shards(ofWorker:))
    #expect(runs.flatMap { Array($0) } == Array(0..<shards))
    #expect((runs.map(\.count).max() ?? 0) - (runs.map(\.count).min() ?? 0) <= 1)
    for (worker, run) in runs.enumerated() {
      #expect(run.allSatisfy { plan.worker(ofShard: $0) == worker })
    }
    #expect((0..<shards).flatMap { Array(plan.samples(ofShard: $0)) } == Array(0..<plan.batchSize))
  }

  @Test func unequalShardsAreRefusedWithTheNearest() {
    let cases: [(Int, Int, [Int])] = [
      (64, 10, [8, 16]), (60, 7, [6, 10]), (7, 3, [1, 7]), (8, 9, [8]), (8, 100, [8]), (8, 0, [1]), (8, -2, [1]),
    ]
    for (batch, shards, nearest) in cases {
      let error = #expect(throws: ShardPlanError.self) {
        try ShardPlan(batchSize: batch, shards: shards, workers: 2)
      }
      #expect(error?.nearest == nearest)
      let advice = nearest.map(String.init).joined(separator: " or ")
      #expect(
        error?.description == "\(shards) shards do not divide a batch of \(batch) samples equally: use \(advice)")
    }
  }

  @Test func defaultShardsDivideAndAreAtMost32() {
    let expected = [1: 1, 2: 2, 13: 1, 16: 8, 17: 1, 24: 12, 32: 16, 60: 30, 62: 31, 64: 32, 74: 2, 100: 25]
    for (batch, shards) in expected { #expect(ShardPlan.defaultShards(batchSize: batch, steps: 60) == shards) }
  }

  @Test func defaultShardsHaveEnoughRowsWhereTheBatchAllowsIt() {
    let expected = [(64, 1, 4), (2, 1, 2), (6, 1, 3), (64, 10, 4), (64, 30, 16), (512, 1, 4)]
    for (batch, steps, shards) in expected {
      #expect(ShardPlan.defaultShards(batchSize: batch, steps: steps) == shards)
    }
  }

  @Test(arguments: [0, 1, 15, 16, 17, 100, 1000, 7_360_001], [1, 2, 3, 7, 16, 128])
  func slicesTileTheBuffer(count: Int, parts: Int) {
    for alignment in [1, 16] {
      let slices = (0..<parts).map { slice(of: count, part: $0, parts: parts, alignment: alignment) }
      #expect(slices[0].lowerBound == 0 && slices[parts - 1].upperBound == count)
      for (left, right) in zip(slices, slices.dropFirst()) {
        #expect(left.upperBound == right.lowerBound)
        #expect(left.upperBound % alignment == 0 || left.upperBound == count)
      }
      let lengths = slices.map(\.count)
      #expect((lengths.max() ?? 0) - (lengths.min() ?? 0) <= 2 * alignment)
    }
  }
}
