import Parallel
import Tensor
import Testing

/// Leaves of S shards over a flat buffer, and their sums straight from the tree's definition.
struct Leaves: Sendable {
  let values: [[Float]]

  init(shards: Int, count: Int, seed: UInt64) {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    values = (0..<shards).map { _ in
      (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        // Magnitudes over ten powers of two: sums in another order differ.
        return Float(Int64(bitPattern: state) >> 40) * Float(sign: .plus, exponent: Int(state % 10), significand: 1)
      }
    }
  }

  /// The value of node [k·2^h, min((k+1)·2^h, S)).
  func sum(_ k: Int, _ h: Int) -> [Float] {
    if h == 0 { return values[k] }
    let left = sum(2 * k, h - 1)
    if (2 * k + 1) << (h - 1) >= values.count { return left }
    return zip(left, sum(2 * k + 1, h - 1)).map { $0 + $1 }
  }

  var total: [Float] { sum(0, 7) }
}

@Suite struct AllReduceTests {
  static let workers = [1, 2, 3, 4, 5, 7, 13, 16]

  static func write(_ leaves: Leaves, groups: [Range<Int>], run: Range<Int>, to accumulator: TreeAccumulator) {
    for group in groups {
      for shard in run {
        let leaf = accumulator.leaf(shard, group)
        for (i, element) in group.enumerated() { leaf[i] = leaves.values[shard][element] }
        accumulator.merge(shard, group)
      }
    }
  }

  static func bits(_ values: some Sequence<Float>) -> [UInt32] { values.map(\.bitPattern) }

  @Test(arguments: ReductionTreeTests.sizes)
  func resultHasTheBitsOfTheTreeForAnyWorkers(shards: Int) throws {
    let tree = ReductionTree(shards: shards)
    // Not in order, odd limits, one empty, some longer than a turn of the kernel.
    let groups = [130..<777, 0..<1, 1..<130, 777..<777, 900..<1003, 777..<900]
    let count = 1003
    for workers in Self.workers {
      let plan = try ShardPlan(batchSize: shards, shards: shards, workers: workers)
      let arena = Arena(placement: .anywhere)
      let runs = (0..<workers).map(plan.shards(ofWorker:))
      let accumulators = try runs.map {
        try TreeAccumulator(tree: tree, run: $0, count: count, maxGroup: 647, arena: arena)
      }
      let nodes = accumulators.flatMap(\.nodes)
      let reduce = try AllReduce(tree: tree, nodes: nodes, arena: arena)
      let result = try arena.matrix(rows: 1, columns: count)
      // Twice: the second time everything is stale.
      for seed in [1, 2] as [UInt64] {
        let leaves = Leaves(shards: shards, count: count, seed: seed)
        result.fill(.nan)
        for (run, accumulator) in zip(runs, accumulators) {
          Self.write(leaves, groups: groups, run: run, to: accumulator)
        }
        for worker in 0..<workers {
          let slice = slice(of: count, part: worker, parts: workers, alignment: 1)
          reduce.reduce(slice: slice, into: result.base)
        }
        #expect(Self.bits(result.elements) == Self.bits(leaves.total), "\(workers) workers")
      }
    }
  }

  @Test(arguments: [(5, 3), (16, 2), (24, 7), (60, 16)])
  func teamReducesInPlace(shards: Int, workers: Int) throws {
    let count = 10_007
    let leaves = Leaves(shards: shards, count: count, seed: 3)
    let tree = ReductionTree(shards: shards)
    let plan = try ShardPlan(batchSize: shards, shards: shards, workers: workers)
    let arena = Arena(placement: .interleaved)
    let accumulators = try (0..<workers).map {
      try TreeAccumulator(tree: tree, run: plan.shards(ofWorker: $0), count: count, maxGroup: count, arena: arena)
    }
    let nodes = accumulators.flatMap(\.nodes)
    let reduces = try (0..<workers).map { _ in try AllReduce(tree: tree, nodes: nodes, arena: arena) }
    let last = nodes[nodes.count - 1]
    let team = WorkerTeam(placement: Placement(.current(), workers: workers))
    team.run { worker in
      Self.write(leaves, groups: [0..<count], run: plan.shards(ofWorker: worker), to: accumulators[worker])
      team.barrier()
      let slice = slice(of: count, part: worker, parts: workers, alignment: 16)
      reduces[worker].reduce(slice: slice, into: last.base)
    }
    let result = Matrix(last.base, rows: 1, columns: count)
    #expect(Self.bits(result.elements) == Self.bits(leaves.total))
  }

  @Test func slicesMayBeEmptyOrOddAndTouchNothingElse() throws {
    let count = 5000
    let leaves = Leaves(shards: 3, count: count, seed: 4)
    let tree = ReductionTree(shards: 3)
    let arena = Arena(placement: .anywhere)
    let nodes = try leaves.values.enumerated().map { shard, values in
      let base = try arena.allocate(count)
      base.update(from: values, count: count)
      return TreeNode(shards: shard..<shard + 1, base: base)
    }
    let reduce = try AllReduce(tree: tree, nodes: nodes.reversed(), arena: arena)
    let result = try arena.matrix(rows: 1, columns: count)
    for slice in [0..<0, 17..<17, 5000..<5000, 3..<4, 7..<72, 1..<2050, 999..<4999] {
      result.fill(-1)
      reduce.reduce(slice: slice, into: result.base)
      let expected = leaves.total.enumerated().map { slice.contains($0) ? $1 : -1 }
      #expect(Self.bits(result.elements) == Self.bits(expected))
    }
  }

  @Test func partOfTheTreeIsItsNodesValue() throws {
    let leaves = Leaves(shards: 11, count: 100, seed: 5)
    let tree = ReductionTree(shards: 11)
    let arena = Arena(placement: .anywhere)
    let accumulators = try [4..<7, 7..<8].map {
      try TreeAccumulator(tree: tree, run: $0, count: 100, maxGroup: 100, arena: arena)
    }
    for (run, accumulator) in zip([4..<7, 7..<8], accumulators) {
      Self.write(leaves, groups: [0..<100], run: run, to: accumulator)
    }
    let reduce = try AllReduce(tree: tree, nodes: accumulators.flatMap(\.nodes), root: 4..<8, arena: arena)
    let result = try arena.matrix(rows: 1, columns: 100)
    reduce.reduce(slice: 0..<100, into: result.base)
    #expect(Self.bits(result.elements) == Self.bits(leaves.sum(1, 2)))
  }
}
