import Parallel
import TestSupport
import Testing

@Suite struct ReduceScatterTests {
  /// Each rank's part of the sum has the bits of the whole tree.
  @Test(arguments: [1, 2, 3, 5, 8, 13, 32], [1, 2, 3, 5, 7])
  func partsHaveTheBitsOfTheTree(shards: Int, size: Int) throws {
    let (count, segments) = (1003, [0..<130, 130..<777, 777..<1003])
    let leaves = Leaves(shards: shards, count: count, seed: 7)
    let tree = ReductionTree(shards: shards)
    for workers in [1, 2, 3] {
      let plan = try ShardPlan(batchSize: shards, shards: shards, workers: size * workers)
      let sums = try ThreadRanks.run(size) { communicator in
        let ranks = Ranks(communicator, workers: workers)
        let arena = Arena(placement: .anywhere)
        let accumulators = try ranks.own.map {
          try TreeAccumulator(tree: tree, run: plan.shards(ofWorker: $0), count: count, maxGroup: 647, arena: arena)
        }
        let parts = segments.map { segment in
          ranks.parts { worker in
            let own = slice(of: segment.count, part: worker, parts: ranks.workerCount, alignment: 1)
            return segment.lowerBound + own.lowerBound..<segment.lowerBound + own.upperBound
          }
        }
        let reduction = try ReduceScatter(
          tree: tree, ranks: ranks, runs: ranks.parts(plan.shards(ofWorker:)), nodes: accumulators.flatMap(\.nodes),
          segments: segments, parts: parts, arenas: (0..<workers).map { _ in arena }, shared: arena)
        // Twice: the second time everything is stale. Segments in another order than they lie.
        var result = [Float](repeating: .nan, count: count)
        for seed in [7, 8] as [UInt64] {
          let leaves = seed == 7 ? leaves : Leaves(shards: shards, count: count, seed: seed)
          for segment in [2, 0, 1] {
            for (worker, accumulator) in accumulators.enumerated() {
              AllReduceTests.write(
                leaves, groups: [segments[segment]], run: plan.shards(ofWorker: ranks.number(ofWorker: worker)),
                to: accumulator)
            }
            for worker in 0..<workers { reduction.combine(worker: worker, segment: segment) }
            reduction.start(segment: segment)
          }
          communicator.finish()
          let total = leaves.total
          for segment in segments.indices {
            let part = parts[segment][communicator.rank]
            for worker in 0..<workers {
              let share = slice(of: part.count, part: worker, parts: workers, alignment: 1)
              reduction.reduce(
                worker: worker, segment: segment,
                slice: part.lowerBound + share.lowerBound..<part.lowerBound + share.upperBound)
            }
            for i in part {
              #expect(reduction.sum[i].bitPattern == total[i].bitPattern, "element \(i)")
              result[i] = reduction.sum[i]
            }
          }
        }
        return result
      }
      let written = sums.reduce(0) { $0 + $1.count { !$0.isNaN } }
      #expect(written == count)
    }
  }
}
