import Foundation
import Testing

@testable import Parallel

@Suite struct NUMATests {
  @Test func processHasCPUs() {
    #expect(!NUMA.processCPUs().isEmpty)
    #expect(NUMA.pageBytes >= 4096)
    #expect(NUMA.physicalBytes > 0)
  }

  @Test(.enabled(if: NUMA.isAvailable)) func nodesHaveMemory() {
    let nodes = NUMA.nodes()
    #expect(nodes.contains { $0.totalBytes > 0 && $0.freeBytes <= $0.totalBytes })
    #expect(Set(NUMA.allowedMemoryNodes()).isSubset(of: nodes.map(\.id)))
    #expect(Set(NUMA.processCPUs()).isSubset(of: nodes.flatMap(\.cpus)))
  }

  @Test func affinityIsSetAndPutBack() async {
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      Thread {
        let before = NUMA.threadCPUs()
        for cpu in before {
          #expect(throws: Never.self) { try NUMA.setThreadCPUs([cpu]) }
          #expect(NUMA.threadCPUs() == [cpu])
        }
        #expect(throws: Never.self) { try NUMA.setThreadCPUs(before) }
        #expect(NUMA.threadCPUs() == before)
        done.resume()
      }.start()
    }
  }

  @Test func impossibleCPUIsRefused() {
    let error = #expect(throws: AffinityError.self) { try NUMA.setThreadCPUs([1 << 20]) }
    #expect(error?.description.contains("CPU 1048576") == true)
  }

  /// Whether the kernel tells where pages are, which a sandbox may refuse.
  static let tellsPages: Bool = {
    guard Topology.current().hasNUMA, let region = try? NUMA.allocate(bytes: 1, placement: .anywhere) else {
      return false
    }
    defer { NUMA.free(region) }
    region.storeBytes(of: 1, as: Int.self)
    if case .node = NUMA.pageNodes(of: UnsafeRawBufferPointer(region))[0] { return true }
    return false
  }()

  @Test(.enabled(if: tellsPages)) func untouchedPagesAreNowhere() throws {
    let region = try NUMA.allocate(bytes: 10 * NUMA.pageBytes, placement: .anywhere)
    defer { NUMA.free(region) }
    region.storeBytes(of: 1, toByteOffset: 3 * NUMA.pageBytes, as: Int.self)
    let locations = NUMA.pageNodes(of: UnsafeRawBufferPointer(region))
    #expect(locations.count == 10)
    #expect(locations.enumerated().allSatisfy { ($1 == .nowhere) == ($0 != 3) })
  }

  @Test func unknownNodeStillGivesMemory() throws {
    let region = try NUMA.allocate(bytes: 100, placement: .node(1000))
    defer { NUMA.free(region) }
    region.storeBytes(of: 1, as: Int.self)
    #expect(region.count == NUMA.pageBytes)
  }
}
