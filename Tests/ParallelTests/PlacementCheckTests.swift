import Testing

@testable import Parallel

@Suite struct PlacementCheckTests {
  @Test func pagesOffTheirNodeCount() {
    func elsewhere(_ nodes: [Int: Int], _ planned: MemoryPlacement, allowed: [Int] = [0, 1]) -> Int {
      PlacementCheck.elsewhere(nodes, planned: planned, allowed: allowed, uneven: 8)
    }
    #expect(elsewhere([0: 5, 1: 7], .node(0)) == 7)
    #expect(elsewhere([1: 7], .node(1)) == 0)
    #expect(elsewhere([:], .node(1)) == 0)
    #expect(elsewhere([0: 5, 1: 7], .anywhere) == 0)
    #expect(elsewhere([0: 500, 1: 500], .interleaved) == 0)
    #expect(elsewhere([0: 9], .interleaved) == 0)
    // At most 1000 · 5/8 + 8 of 1000 pages on one of two nodes.
    #expect(elsewhere([0: 1000], .interleaved) == 367)
    #expect(elsewhere([0: 700, 1: 300], .interleaved) == 67)
    #expect(elsewhere([0: 500, 1: 500], .interleaved, allowed: [0]) == 500)
    #expect(elsewhere([0: 1000], .interleaved, allowed: [0]) == 0)
  }

  @Test(.enabled(if: NUMATests.tellsPages)) func touchedMemoryIsWhereItWasPlanned() throws {
    let placement = Placement(.current(), workers: 1)
    let (own, shared) = (Arena(placement: placement.memory(ofWorker: 0)), Arena(placement: placement.sharedMemory))
    // Long enough to be sampled.
    try own.allocate(40 << 20).update(repeating: 1, count: 40 << 20)
    try shared.allocate(1 << 20).update(repeating: 1, count: 1 << 20)
    let check = PlacementCheck(
      [MemoryRegion("worker 0", .worker(0), own), MemoryRegion("shared", .shared, shared)], placement: placement)
    #expect(check.policy == placement.effectivePolicy)
    #expect(check.regions.map(\.name) == ["worker 0", "shared"])
    #expect(check.regions.map(\.sampledEvery) == [7, 1])
    #expect(check.refusal == nil)
    #expect(check.regions[0].pages > (40 << 20) / 1024 / 7 - 2)
    #expect(check.elsewhere == 0 && check.pages == check.regions[0].pages + check.regions[1].pages)
    #expect("\(check)".contains("all \(check.pages) pages"))
  }

  @Test func interleavedMemoryIsHugeOnlyWhereLong() {
    #expect(!NUMA.wantsHugePages(bytes: 1 << 20, placement: .anywhere))
    #expect(NUMA.wantsHugePages(bytes: 4 << 20, placement: .node(0)))
    #expect(NUMA.wantsHugePages(bytes: 1 << 40, placement: .interleaved))
    if NUMA.allowedMemoryNodes().count > 1 { #expect(!NUMA.wantsHugePages(bytes: 4 << 20, placement: .interleaved)) }
  }
}
