import Parallel
import Testing

/// Where memory is to lie, on invented machines.
@Suite struct MemoryPolicyTests {
  static func topology(_ cpus: [[Int]], memory: [Int]? = nil, hasNUMA: Bool = true) -> Topology {
    Topology(
      nodes: cpus.enumerated().map { .init(id: $0, cpus: $1, memoryBytes: memory?[$0] ?? 1 << 30) }, hasNUMA: hasNUMA)
  }
  static let twoNodes = topology([[0, 1], [2, 3]])

  private func workerMemory(_ placement: Placement) -> [MemoryPlacement] {
    placement.workers.indices.map(placement.memory(ofWorker:))
  }

  @Test func nodeLocal() {
    let placement = Placement(Self.twoNodes)
    #expect(placement.policy == .nodeLocal && placement.effectivePolicy == .nodeLocal)
    #expect(workerMemory(placement) == [.node(0), .node(0), .node(1), .node(1)])
    #expect(placement.replicas == [.node(0), .node(1)])
    #expect(placement.replicaNodes == [0, 1])
    #expect(placement.sharedMemory == .interleaved)
    // One worker: one replica, beside it; what is shared still uses all nodes.
    let one = Placement(Self.twoNodes, workers: 1)
    #expect(one.replicas == [.node(0)] && workerMemory(one) == [.node(0)] && one.sharedMemory == .interleaved)
  }

  @Test func interleave() {
    let placement = Placement(Self.twoNodes, workers: 3, memory: .interleave)
    #expect(workerMemory(placement) == [.interleaved, .interleaved, .interleaved])
    #expect(placement.replicas == [.interleaved] && placement.replicaNodes == [])
    #expect(placement.sharedMemory == .interleaved)
    // Workers are spread and pinned as ever.
    #expect(placement.workers == Placement(Self.twoNodes, workers: 3).workers)
  }

  @Test func off() {
    let placement = Placement(Self.twoNodes, workers: 3, memory: .off)
    #expect(workerMemory(placement) == [.anywhere, .anywhere, .anywhere])
    #expect(placement.replicas == [.anywhere] && placement.replicaNodes == [])
    #expect(placement.sharedMemory == .anywhere)
    #expect(placement.affinity(ofWorker: 2) == [2])
  }

  @Test(arguments: MemoryPolicy.allCases) func withoutNUMANothingIsAskedFor(policy: MemoryPolicy) {
    let placement = Placement(Self.topology([[0, 1]], hasNUMA: false), memory: policy)
    #expect(placement.policy == policy && placement.effectivePolicy == .off)
    #expect(workerMemory(placement) == [.anywhere, .anywhere])
    #expect(placement.replicas == [.anywhere] && placement.sharedMemory == .anywhere)
  }

  @Test func nodesWithoutMemory() {
    let some = Placement(Self.topology([[0], [1], [2]], memory: [1, 0, 1]))
    #expect(workerMemory(some) == [.node(0), .anywhere, .node(2)])
    #expect(some.replicas == [.node(0), .node(2)])
    // All CPUs here, all memory there.
    let apart = Placement(Self.topology([[0, 1], []], memory: [0, 1]))
    #expect(workerMemory(apart) == [.anywhere, .anywhere])
    #expect(apart.replicas == [.interleaved] && apart.replicaNodes == [])
  }

  @Test func reasonsNameNodes() {
    let placement = Placement(Self.twoNodes)
    let region = MemoryRegion("worker 2", .worker(2), Arena(placement: placement.memory(ofWorker: 2)))
    #expect(region.reason(placement) == "only worker 2 uses it, which runs on node 1")
    let other = Placement(Self.twoNodes, memory: .interleave)
    #expect(region.reason(other).hasPrefix("--numa interleave"))
    #expect(region.reason(Placement(Self.topology([[0]], hasNUMA: false))).contains("no NUMA"))
  }
}
