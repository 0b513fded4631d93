import Testing

@testable import Parallel

struct SeatingTests {
  static func topology(nodes: Int, cores: Int) -> Topology {
    Topology(
      nodes: (0..<nodes).map { node in
        Topology.Node(id: node, cores: (0..<cores).map { [node * cores + $0] }, memoryBytes: 0)
      }, hasNUMA: nodes > 1)
  }

  /// In the first computations every worker has another seat each time, and no two the same.
  @Test(arguments: [(1, 4, 4), (1, 4, 2), (1, 8, 1), (2, 3, 6), (2, 4, 4), (4, 2, 8)])
  func everyPassIsOnOtherCores(_ nodes: Int, _ cores: Int, _ workers: Int) {
    let placement = Placement(Self.topology(nodes: nodes, cores: cores), workers: workers)
    let seating = Seating(placement)
    #expect(Set(seating.cpus).count == nodes * cores && seating.cpus.count == nodes * cores)
    let passes = (0..<3).map { seating.seats(ofPass: $0, without: []) }
    #expect(passes[0] == Array(0..<workers))
    for (k, seats) in passes.enumerated() {
      #expect(Set(seats).count == workers, "pass \(k)")
      if k > 0 {
        #expect(zip(seats, passes[k - 1]).allSatisfy { $0 != $1 } && zip(seats, passes[0]).allSatisfy { $0 != $1 })
      }
    }
    guard nodes > 1, workers == nodes * cores else { return }
    func node(_ seat: Int) -> Int { seating.cpus[seat] / cores }
    #expect(zip(passes[1], passes[0]).allSatisfy { node($0) != node($1) })
  }

  @Test func aSeatThatIsAvoidedGetsNoWork() {
    let placement = Placement(Self.topology(nodes: 1, cores: 3), workers: 2)
    var seating = Seating(placement)
    seating.avoid(0)
    for pass in 0..<6 { #expect(!seating.seats(ofPass: pass, without: []).contains(0), "pass \(pass)") }
    #expect(Set(seating.seats(ofPass: 0, without: [])) == [1, 2])
    seating.avoid(2)
    #expect(seating.seats(ofPass: 1, without: []) == [1, 1])
    // The last one stays.
    seating.avoid(1)
    #expect(seating.available == [1])
    #expect(seating.seats(ofPass: 3, without: [1]) == [1, 1])
  }
}
