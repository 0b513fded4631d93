import Foundation
import Parallel
import Testing

@Suite struct TopologyTests {
  @Test func currentTopologyCoversTheAllowedCPUs() throws {
    let topology = Topology.current()
    #expect(topology.cpus == NUMA.processCPUs())
    #expect(topology.nodes.allSatisfy { $0.memoryBytes >= 0 })
    #expect(topology.nodes.contains { $0.memoryBytes > 0 })
    if !NUMA.isAvailable { #expect(!topology.hasNUMA && topology.nodes.map(\.id) == [0]) }
    let copy = try JSONDecoder().decode(Topology.self, from: JSONEncoder().encode(topology))
    #expect(copy == topology)
    #expect(!topology.description.isEmpty)
  }

  @Test func nodesAreSortedAndCPUsMerged() {
    let topology = Topology(
      nodes: [
        .init(id: 1, cpus: [1, 3], memoryBytes: 2 << 20), .init(id: 0, cpus: [0, 2], memoryBytes: 1 << 20),
      ], hasNUMA: true)
    #expect(topology.nodes.map(\.id) == [0, 1])
    #expect(topology.cpus == [0, 1, 2, 3])
    #expect(topology.description == "node 0: 1 MiB, CPUs 0,2\nnode 1: 2 MiB, CPUs 1,3")
  }
}
