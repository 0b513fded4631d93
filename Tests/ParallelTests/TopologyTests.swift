import Foundation
import TestSupport
import Testing

@testable import Parallel

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

  /// /sys of a machine whose CPU n and n + 4 are threads of core n, CPU 9 of which nothing is told.
  @Test func siblingsAreOneCore() throws {
    let root = try TemporaryDirectory()
    for cpu in 0..<8 {
      try root.write(
        "\(cpu % 4),\(cpu % 4 + 4)\n", to: "sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list")
    }
    #expect(Topology.cores(of: Array(0..<8), root: root.path) == [[0, 4], [1, 5], [2, 6], [3, 7]])
    #expect(Topology.cores(of: [1, 4, 5, 9], root: root.path) == [[1, 5], [4], [9]])
    try root.write("0-3\n", to: "sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    #expect(Topology.cores(of: [0, 2, 3], root: root.path) == [[0, 2, 3]])
    try root.write("what?\n", to: "sys/devices/system/cpu/cpu0/topology/thread_siblings_list")
    #expect(Topology.cores(of: [0, 2], root: root.path) == [[0], [2]])
  }

  @Test func workersAreCoresWithinTheLimit() {
    let topology = Topology(nodes: [.init(id: 0, cores: [[0, 4], [1, 5], [2, 6]], memoryBytes: 1)], hasNUMA: true)
    #expect(topology.cpus == [0, 1, 2, 4, 5, 6] && topology.coreCount == 3)
    #expect(topology.nodes[0].cpusByUse == [0, 1, 2, 4, 5, 6])
    #expect([nil, 0.5, 1, 2.9, 3, 8].map { topology.defaultWorkers(limit: $0) } == [3, 1, 1, 2, 3, 3])
  }
}

@Suite struct ProcessorLimitTests {
  @Test func theTightestGroupCounts() throws {
    let root = try TemporaryDirectory()
    #expect(ProcessorLimit.read(root: root.path) == nil)
    try root.write("0::/a/b\n", to: "proc/self/cgroup")
    try root.write("max 100000\n", to: "sys/fs/cgroup/a/b/cpu.max")
    #expect(ProcessorLimit.read(root: root.path) == nil)
    try root.write("250000 100000\n", to: "sys/fs/cgroup/a/cpu.max")
    #expect(ProcessorLimit.read(root: root.path) == 2.5)
    try root.write("40000 20000\n", to: "sys/fs/cgroup/a/b/cpu.max")
    #expect(ProcessorLimit.read(root: root.path) == 2)
  }

  /// A container of its own cgroup namespace, or one that shows its group as the root.
  @Test func aContainersRootCounts() throws {
    let root = try TemporaryDirectory()
    try root.write("0::/\n", to: "proc/self/cgroup")
    try root.write("150000 100000\n", to: "sys/fs/cgroup/cpu.max")
    #expect(ProcessorLimit.read(root: root.path) == 1.5)
    try root.write("0::/docker/not-seen-here\n", to: "proc/self/cgroup")
    #expect(ProcessorLimit.read(root: root.path) == 1.5)
  }

  @Test(arguments: ["cpu", "cpu,cpuacct"]) func versionOne(controllers: String) throws {
    let root = try TemporaryDirectory()
    try root.write("7:memory:/other\n3:\(controllers):/job/step\n0::/\n", to: "proc/self/cgroup")
    let group = "sys/fs/cgroup/\(controllers)/job/step/"
    try root.write("100000\n", to: group + "cpu.cfs_period_us")
    try root.write("-1\n", to: group + "cpu.cfs_quota_us")
    #expect(ProcessorLimit.read(root: root.path) == nil)
    try root.write("400000\n", to: group + "cpu.cfs_quota_us")
    #expect(ProcessorLimit.read(root: root.path) == 4)
  }

  @Test(arguments: ["", "x 100000", "100000", "100000 0", "-5 100000", "1 2 3"])
  func whatCanNotBeReadIsNoLimit(content: String) throws {
    let root = try TemporaryDirectory()
    try root.write("0::/\nnonsense\n", to: "proc/self/cgroup")
    try root.write(content, to: "sys/fs/cgroup/cpu.max")
    #expect(ProcessorLimit.read(root: root.path) == nil)
  }
}

extension TemporaryDirectory {
  fileprivate func write(_ text: String, to name: String) throws {
    let url = URL(fileURLWithPath: file(name))
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
  }
}
