import Tensor

/// The CPUs and memory that this process may use, by NUMA node.
package struct Topology: Sendable, Codable, Equatable {
  package struct Node: Sendable, Codable, Equatable {
    package let id: Int
    /// The node's physical cores, by their first CPU: of each the CPUs (hardware threads) that the process may run on.
    package let cores: [[Int]]
    /// The node's memory in bytes; 0 if the process may not use it.
    package let memoryBytes: Int

    package init(id: Int, cores: [[Int]], memoryBytes: Int) {
      self.id = id
      self.cores = cores.filter { !$0.isEmpty }.map { $0.sorted() }.sorted { $0[0] < $1[0] }
      self.memoryBytes = memoryBytes
    }

    /// A node whose CPUs are a core each.
    package init(id: Int, cpus: [Int], memoryBytes: Int) {
      self.init(id: id, cores: cpus.map { [$0] }, memoryBytes: memoryBytes)
    }

    /// The node's CPUs that the process may run on, in rising order.
    package var cpus: [Int] { cores.flatMap(\.self).sorted() }

    /// The same in the order in which workers take them: one of each core, then the cores' second, …
    package var cpusByUse: [Int] {
      (0..<(cores.map(\.count).max() ?? 0)).flatMap { thread in
        cores.compactMap { $0.indices.contains(thread) ? $0[thread] : nil }
      }
    }
  }

  /// Nodes with at least one allowed CPU or some allowed memory, by rising id.
  package let nodes: [Node]
  /// Whether the nodes come from the kernel; if not, there is one node 0.
  package let hasNUMA: Bool

  /// Why there is no NUMA, in words; nil if there is.
  package var absence: String? {
    hasNUMA ? nil : NUMA.absence ?? "the kernel's NUMA nodes do not cover the CPUs that this process may use"
  }

  /// All allowed CPUs in rising order.
  package var cpus: [Int] { nodes.flatMap(\.cpus).sorted() }

  /// Physical cores with a CPU that is allowed.
  package var coreCount: Int { nodes.reduce(0) { $0 + $1.cores.count } }

  /// Workers of a run that is not told how many: one a physical core, whose hardware threads would share its multipliers.
  ///
  /// - Parameter limit: CPUs' time that the system grants, see `ProcessorLimit`.
  package func defaultWorkers(limit: Double?) -> Int {
    min(coreCount, limit.map { max(1, Int($0)) } ?? .max, WorkerTeam.maxCount)
  }

  package init(nodes: [Node], hasNUMA: Bool) {
    precondition(nodes.contains { !$0.cores.isEmpty }, "a topology of \(nodes.count) nodes without a CPU")
    precondition(Set(nodes.map(\.id)).count == nodes.count, "node ids \(nodes.map(\.id)) repeat")
    self.nodes = nodes.sorted { $0.id < $1.id }
    self.hasNUMA = hasNUMA
  }

  /// What the process finds now. A CPU set (taskset, cpuset cgroup, Slurm) restricts it; so does
  /// `OMP_PROC_BIND`, by which OpenMP pins the main thread before the program starts.
  package static func current() -> Topology {
    let allowed = NUMA.processCPUs()
    let memory = Set(NUMA.allowedMemoryNodes())
    var unplaced = Set(allowed)
    let cores = Self.cores(of: allowed)
    let nodes = NUMA.nodes().map { node in
      let cpus = Set(node.cpus.filter { unplaced.remove($0) != nil })
      return Node(
        id: node.id, cores: cores.map { $0.filter(cpus.contains) },
        memoryBytes: memory.contains(node.id) ? node.totalBytes : 0)
    }
    // A container may show nodes that don't cover its CPUs; nodes that can't be trusted are no help.
    guard unplaced.isEmpty else {
      return Topology(
        nodes: [Node(id: 0, cores: cores, memoryBytes: NUMA.physicalBytes)], hasNUMA: false)
    }
    return Topology(nodes: nodes.filter { !$0.cores.isEmpty || $0.memoryBytes > 0 }, hasNUMA: true)
  }

  /// CPUs by the physical core whose hardware threads they are; a CPU of which the kernel tells nothing is a core.
  ///
  /// - Parameter root: where /sys is, for tests.
  static func cores(of cpus: [Int], root: String = "/") -> [[Int]] {
    var unseen = Set(cpus)
    return cpus.compactMap { cpu in
      guard unseen.contains(cpu) else { return nil }
      let file = root + "/sys/devices/system/cpu/cpu\(cpu)/topology/thread_siblings_list"
      let siblings = SystemFile.line(file).flatMap(SystemFile.cpus) ?? []
      return Set(siblings + [cpu]).sorted().filter { unseen.remove($0) != nil }
    }
  }
}

extension Topology: CustomStringConvertible {
  package var description: String {
    let lines = nodes.map { node in
      "node \(node.id): \(node.memoryBytes >> 20) MiB, CPUs \(Placement.ranges(node.cpus))"
    }
    return (hasNUMA ? lines : ["no NUMA"] + lines).joined(separator: "\n")
  }
}
