import Parallel
import TestSupport
import Testing

@Suite struct CommunicatorTests {
  static let sizes = [1, 2, 3, 5, 7]

  /// The same checks as Tests/RanksCheck makes of MPI's.
  @Test(arguments: sizes) func keepsItsPromises(size: Int) throws {
    #expect(try ThreadRanks.run(size) { try CommunicatorChecks.failures($0) }.flatMap(\.self) == [])
  }

  @Test func workersAreNumberedThroughAllRanks() throws {
    let counts = [2, 1, 3]
    let all = try ThreadRanks.run(3) { Ranks($0, groups: [counts[$0.rank]]) }
    for (rank, ranks) in all.enumerated() {
      #expect(ranks.workers == [0..<2, 2..<3, 3..<6])
      #expect(ranks.workerCount == 6 && ranks.size == 3 && ranks.rank == rank)
      #expect(ranks.number(ofWorker: 0) == ranks.own.lowerBound)
      let runs = ranks.parts { slice(of: 11, part: $0, parts: 6) }
      #expect(runs[0].lowerBound == 0 && runs[2].upperBound == 11)
      #expect(runs[0].upperBound == runs[1].lowerBound && runs[1].upperBound == runs[2].lowerBound)
    }
  }
}
