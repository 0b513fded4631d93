import Parallel
import Synchronization
import TestSupport
import Testing

@Suite struct RanksDifferTests {
  @Test(arguments: [1, 2, 5]) func equalFactsAgree(size: Int) throws {
    _ = try ThreadRanks.run(size) { try $0.requireAgreement(on: [("version", "1"), ("rate", "")]) }
  }

  @Test func allRanksHearWhichOneDiffersAndInWhat() throws {
    let errors = try ThreadRanks.run(4) { communicator in
      do {
        let rate = communicator.rank >= 2 ? "0.\(communicator.rank)" : "0.1"
        try communicator.requireAgreement(on: [("version", "1"), ("rate", rate), ("data", "x")])
        return ""
      } catch {
        return "\(error)"
      }
    }
    #expect(Set(errors).count == 1)
    #expect(errors[0].contains("rank 2 on host \(Host.name) differs from rank 0"))
    #expect(errors[0].contains("in rate: 0.2 instead of 0.1"))
  }

  @Test func aMissingFactDiffersToo() throws {
    let errors = try ThreadRanks.run(2) { communicator in
      do {
        let facts = [("version", "1"), ("data", "x")]
        try communicator.requireAgreement(on: Array(facts.prefix(2 - communicator.rank)))
        return false
      } catch {
        return true
      }
    }
    #expect(errors == [true, true])
  }
}
