import Parallel
import TestSupport
import Testing

@Suite struct ReduceScatterTests {
  /// Each rank's part of the sum has the bits of the whole tree.
  @Test(arguments: [1, 2, 3, 5, 8, 13, 32], [1, 2, 3, 5, 7])
  func partsHaveTheBitsOfTheTree(leaves: Int, size: Int) throws {
    for workers in [1, 2, 3] {
      let ranks = try ThreadRanks.run(size) { try CommunicatorChecks.sumParts($0, leaves: leaves, workers: workers) }
      #expect(ranks.flatMap(\.failures) == [])
      let written = ranks.reduce(0) { $0 + $1.written }
      #expect(written == CommunicatorChecks.floats)
    }
  }
}
