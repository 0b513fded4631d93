import Parallel
import TestSupport
import Testing

@Suite struct CommunicatorTests {
  static let sizes = [1, 2, 3, 5, 7]

  /// The same checks as Tests/RanksCheck makes of MPI's.
  @Test(arguments: sizes) func keepsItsPromises(size: Int) throws {
    #expect(try ThreadRanks.run(size) { try CommunicatorChecks.failures($0) }.flatMap(\.self) == [])
  }

  /// Processes that are other ranks than their own.
  @Test(arguments: sizes) func keepsItsPromisesShifted(size: Int) throws {
    for shift in 0..<size {
      let ranks = try ThreadRanks.run(size) { own in
        let shifted = ShiftedCommunicator(own, by: shift)
        let failures = try CommunicatorChecks.failures(shifted)
        #expect(failures == [])
        return shifted.rank
      }
      #expect(ranks == (0..<size).map { ($0 + shift) % size })
    }
  }

  @Test func theNextRankNeedsAsManyWorkers() throws {
    for (groups, isThere) in [
      ([[2]], false), ([[2], [1]], false), ([[2, 1], [1, 2]], false), ([[2, 1], [2, 1]], true),
    ] {
      let next = try ThreadRanks.run(groups.count) { Ranks($0, groups: groups[$0.rank]).next?.rank }
      #expect(next == groups.indices.map { isThere ? ($0 + 1) % groups.count : nil }, "\(groups)")
    }
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
