import Parallel
import Tensor
import TestSupport
import Testing

@Suite struct TreeSumTests {
  static func bits(_ values: some Sequence<Float>) -> [UInt32] { values.map(\.bitPattern) }

  @Test(arguments: ReductionTreeTests.sizes, [1, 2, 3, 4, 7, 16])
  func resultHasTheBitsOfTheTreeForAnyRuns(count: Int, groups: Int) throws {
    let tree = ReductionTree(leaves: count)
    let (leaves, arena) = (Leaves(leaves: count, count: 1003, seed: 1), Arena(placement: .anywhere))
    let runs = (0..<groups).map { slice(of: count, part: $0, parts: groups) }
    let sum = try TreeSum(tree: tree, nodes: leaves.nodes(tree, runs: runs, in: arena), arena: arena)
    let result = try arena.matrix(rows: 1, columns: 1003)
    result.fill(.nan)
    for part in 0..<3 { sum.reduce(slice: slice(of: 1003, part: part, parts: 3), into: result.base) }
    #expect(Self.bits(result.elements) == Self.bits(leaves.total))
  }

  @Test(arguments: [(5, 3), (16, 2), (24, 7), (60, 16)])
  func teamReducesInPlace(count: Int, workers: Int) throws {
    let leaves = Leaves(leaves: count, count: 10_007, seed: 3)
    let (tree, arena) = (ReductionTree(leaves: count), Arena(placement: .interleaved))
    let runs = (0..<workers).map { slice(of: count, part: $0, parts: workers) }
    let nodes = try leaves.nodes(tree, runs: runs, in: arena)
    let sums = try (0..<workers).map { _ in try TreeSum(tree: tree, nodes: nodes, arena: arena) }
    let last = nodes[nodes.count - 1]
    let team = WorkerTeam(placement: Placement(.current(), workers: workers))
    team.run { worker in
      sums[worker].reduce(slice: slice(of: 10_007, part: worker, parts: workers, alignment: 16), into: last.base)
    }
    let result = Matrix(last.base, rows: 1, columns: 10_007)
    #expect(Self.bits(result.elements) == Self.bits(leaves.total))
  }

  @Test func slicesMayBeEmptyOrOddAndTouchNothingElse() throws {
    let leaves = Leaves(leaves: 3, count: 5000, seed: 4)
    let (tree, arena) = (ReductionTree(leaves: 3), Arena(placement: .anywhere))
    let nodes = try leaves.nodes(tree, runs: [0..<1, 1..<2, 2..<3], in: arena)
    let sum = try TreeSum(tree: tree, nodes: nodes.reversed(), arena: arena)
    let result = try arena.matrix(rows: 1, columns: 5000)
    for slice in [0..<0, 17..<17, 5000..<5000, 3..<4, 7..<72, 1..<2050, 999..<4999] {
      result.fill(-1)
      sum.reduce(slice: slice, into: result.base)
      let expected = leaves.total.enumerated().map { slice.contains($0) ? $1 : -1 }
      #expect(Self.bits(result.elements) == Self.bits(expected))
    }
  }

  @Test func partOfTheTreeIsItsNodesValue() throws {
    let leaves = Leaves(leaves: 11, count: 100, seed: 5)
    let (tree, arena) = (ReductionTree(leaves: 11), Arena(placement: .anywhere))
    let nodes = try leaves.nodes(tree, runs: [4..<7, 7..<8], in: arena)
    let sum = try TreeSum(tree: tree, nodes: nodes, root: 4..<8, arena: arena)
    let result = try arena.matrix(rows: 1, columns: 100)
    sum.reduce(slice: 0..<100, into: result.base)
    #expect(Self.bits(result.elements) == Self.bits(leaves.sum(1, 2)))
  }
}
