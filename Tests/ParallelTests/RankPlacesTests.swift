import TestSupport
import Testing

@testable import Parallel

@Suite struct RankPlacesTests {
  static func place(_ machine: String, _ cpus: [Int]) -> RankPlaces.Place {
    RankPlaces.Place(host: "host \(machine)", machine: machine, cores: cpus.map { [$0] })
  }

  @Test func ranksOfAMachineDivideWhatTheyShare() {
    // Eight CPUs in the order of their nodes, as siblings are often numbered.
    let cpus = [0, 2, 4, 6, 1, 3, 5, 7]
    let places = RankPlaces([
      Self.place("a", cpus), Self.place("b", cpus), Self.place("a", cpus), Self.place("a", cpus),
    ])
    #expect(places.machineCount == 2)
    #expect(places.sharers(ofRank: 2) == [0, 2, 3])
    #expect(places.cpus(ofRank: 1) == cpus)
    #expect([0, 2, 3].map(places.cpus(ofRank:)) == [[0, 2], [4, 6, 1], [3, 5, 7]])
  }

  @Test func whatTheLauncherBoundStays() {
    let places = RankPlaces([Self.place("a", [0, 1]), Self.place("a", [2, 3]), Self.place("a", [2, 3])])
    #expect((0..<3).map(places.cpus(ofRank:)) == [[0, 1], [2], [3]])
  }

  @Test func ranksShareNoCoreWhileThereAreEnough() {
    let cores = [[0, 6], [1, 7], [2, 8], [3, 9], [4, 10]]
    func cpus(ranks: Int) -> [[Int]] {
      let places = RankPlaces((0..<ranks).map { _ in RankPlaces.Place(host: "h", machine: "m", cores: cores) })
      #expect(places.neighbours(ofRank: 0) == ranks)
      return (0..<ranks).map(places.cpus(ofRank:))
    }
    #expect(cpus(ranks: 2) == [[0, 6, 1, 7], [2, 8, 3, 9, 4, 10]])
    #expect(cpus(ranks: 5) == cores)
    #expect(cpus(ranks: 6) == [[0], [6], [1], [7], [2], [8]])
  }

  @Test func moreRanksThanCPUsShareThem() {
    let places = RankPlaces((0..<5).map { _ in Self.place("a", [4, 9]) })
    #expect((0..<5).map(places.cpus(ofRank:)) == [[4], [9], [4], [9], [4]])
  }

  @Test func everyRankLearnsOfAll() throws {
    let topology = Topology.current()
    let all = try ThreadRanks.run(3) { RankPlaces($0, topology).places }
    for places in all {
      #expect(places == all[0] && places.count == 3)
      #expect(places[2].cores.flatMap(\.self).sorted() == topology.cpus)
      #expect(places[2].host == Host.name)
    }
    let own = RankPlaces(all[0]).cpus(ofRank: 0)
    #expect(topology.restricted(to: own).cpus == own.sorted())
  }
}
