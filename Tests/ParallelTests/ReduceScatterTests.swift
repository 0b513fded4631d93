import Parallel
import TestSupport
import Testing

@Suite struct ReduceScatterTests {
  /// Each rank's part of the sum has the bits of the whole tree.
  @Test(arguments: [1, 2, 3, 5, 8, 13, 32], [1, 2, 3, 5, 7])
  func partsHaveTheBitsOfTheTree(count leafCount: Int, size: Int) throws {
    let (count, segments) = (1003, [0..<130, 130..<777, 777..<1003])
    let tree = ReductionTree(leaves: leafCount)
    for workers in [1, 2, 3] {
      let runs = (0..<size * workers).map { slice(of: leafCount, part: $0, parts: size * workers) }
      let sums = try ThreadRanks.run(size) { communicator in
        let ranks = Ranks(communicator, groups: [Int](repeating: 1, count: workers))
        let arena = Arena(placement: .anywhere)
        let own = Array(runs[ranks.own])
        let nodes = try TreeSumTests.nodes(
          Leaves(leaves: leafCount, count: count, seed: 7), tree, runs: own, in: arena)
        let parts = segments.map { segment in
          ranks.parts { worker in
            let own = slice(of: segment.count, part: worker, parts: ranks.workerCount)
            return segment.lowerBound + own.lowerBound..<segment.lowerBound + own.upperBound
          }
        }
        let reduction = try ReduceScatter(
          tree: tree, ranks: ranks, runs: ranks.parts { runs[$0] }, nodes: nodes, segments: segments, parts: parts,
          arenas: (0..<workers).map { _ in arena }, shared: arena)
        // Twice: the second time everything is stale. Segments in another order than they lie.
        var result = [Float](repeating: .nan, count: count)
        for seed in [7, 8] as [UInt64] {
          let leaves = Leaves(leaves: leafCount, count: count, seed: seed)
          for segment in [2, 0, 1] {
            for node in nodes {
              let sum = leaves.sum(over: node.leaves)
              for i in segments[segment] { node.base[i] = sum[i] }
            }
            for worker in 0..<workers { reduction.combine(worker: worker, segment: segment) }
            reduction.start(segment: segment)
          }
          communicator.finish()
          let total = leaves.total
          for segment in segments.indices {
            let part = parts[segment][communicator.rank]
            for worker in 0..<workers {
              let share = slice(of: part.count, part: worker, parts: workers)
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
