import Parallel
import Testing

@Suite struct PlacementTests {
  static func topology(_ cpus: [[Int]]) -> Topology {
    Topology(nodes: cpus.enumerated().map { .init(id: $0, cpus: $1, memoryBytes: 1 << 30) }, hasNUMA: true)
  }

  /// Two sockets of 64 cores, numbered as most machines number them.
  static let large = topology([Array(0..<64), Array(64..<128)])

  @Test func defaultIsOneWorkerACore() {
    let placement = Placement(Self.large)
    #expect(placement.count == 128)
    #expect(placement.workers.map(\.cpu) == Array(0..<128))
    #expect(placement.workers(ofNode: 0) == 0..<64)
    #expect(placement.workers(ofNode: 1) == 64..<128)
    #expect(!placement.isOversubscribed)
    #expect(placement.description == "node 0: workers 0-63 on CPUs 0-63\nnode 1: workers 64-127 on CPUs 64-127")
  }

  @Test(arguments: [1, 2, 3, 7, 64, 65, 127])
  func fewWorkersAreSpreadEvenlyInContiguousRuns(count: Int) {
    let placement = Placement(Self.large, workers: count)
    #expect(placement.count == count)
    let counts = [0, 1].map { placement.workers(ofNode: $0).count }
    #expect(counts == [(count + 1) / 2, count / 2])
    #expect(Set(placement.workers.map(\.cpu)).count == count)
    #expect(placement.workers.map(\.node) == placement.workers.map(\.node).sorted())
    #expect(placement.nodes == (count == 1 ? [0] : [0, 1]))
    for worker in 0..<count { #expect(placement.affinity(ofWorker: worker) == [placement.workers[worker].cpu]) }
  }

  @Test func unevenNodesFillUp() {
    let topology = Self.topology([[4, 5], [8, 9, 10, 11, 12, 13]])
    let counts = (1...8).map { count in
      [0, 1].map { Placement(topology, workers: count).workers(ofNode: $0).count }
    }
    #expect(counts == [[1, 0], [1, 1], [2, 1], [2, 2], [2, 3], [2, 4], [2, 5], [2, 6]])
    #expect(Placement(topology).workers.map(\.cpu) == [4, 5, 8, 9, 10, 11, 12, 13])
  }

  @Test func nodesWithoutCPUsGetNoWorkers() {
    let placement = Placement(Self.topology([[], [3, 7], []]), workers: 2)
    #expect(placement.workers == Placement(Self.topology([[], [3, 7]])).workers)
    #expect(placement.nodes == [1])
    #expect(placement.workers(ofNode: 0).isEmpty)
    #expect(placement.workers.map(\.cpu) == [3, 7])
  }

  @Test func moreWorkersThanCPUsWrapAroundAndRoamTheirNode() {
    let one = Placement(Self.topology([[5]]), workers: 3)
    #expect(one.isOversubscribed)
    #expect(one.workers.map(\.cpu) == [5, 5, 5])
    #expect(one.affinity(ofWorker: 2) == [5])

    let two = Placement(Self.topology([[0, 2], [1, 3]]), workers: 11)
    #expect(two.isOversubscribed)
    #expect(two.count == 11)
    #expect(two.workers(ofNode: 0) == 0..<6)
    #expect(two.workers(ofNode: 1) == 6..<11)
    #expect(two.affinity(ofWorker: 5) == [0, 2])
    #expect(two.affinity(ofWorker: 6) == [1, 3])
  }

  /// Two nodes of two cores of two hardware threads each, numbered as most machines number them.
  @Test func hardwareThreadsComeAfterAllCores() {
    let topology = Topology(
      nodes: [
        .init(id: 0, cores: [[0, 4], [1, 5]], memoryBytes: 1), .init(id: 1, cores: [[2, 6], [3, 7]], memoryBytes: 1),
      ], hasNUMA: true)
    let all = Placement(topology)
    #expect(all.workers.map(\.cpu) == [0, 1, 2, 3] && !all.isOversubscribed)
    #expect(Placement(topology, workers: 6).workers.map(\.cpu) == [0, 1, 4, 2, 3, 6])
    #expect(Placement(topology, workers: 8).workers.map(\.cpu) == [0, 1, 4, 5, 2, 3, 6, 7])
    #expect(Placement(topology, workers: 9).isOversubscribed)
  }

  @Test func aFreeCoreGoesBeforeAHardwareThread() {
    let topology = Topology(
      nodes: [
        .init(id: 0, cores: [[0, 1]], memoryBytes: 1),
        .init(id: 1, cores: [[2, 3], [4, 5], [6, 7]], memoryBytes: 1),
      ], hasNUMA: true)
    #expect(Placement(topology, workers: 4).workers.map(\.cpu) == [0, 2, 4, 6])
    #expect(Placement(topology, workers: 5).workers.map(\.cpu) == [0, 1, 2, 4, 6])
  }
}
