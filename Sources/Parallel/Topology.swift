import Tensor

/// The CPUs and memory that this process may use, by NUMA node.
public struct Topology: Sendable, Codable, Equatable {
  public struct Node: Sendable, Codable, Equatable {
    public let id: Int
    /// The node's CPUs that the process may run on, in rising order.
    public let cpus: [Int]
    /// The node's memory in bytes; 0 if the process may not use it.
    public let memoryBytes: Int

    public init(id: Int, cpus: [Int], memoryBytes: Int) {
      self.id = id
      self.cpus = cpus
      self.memoryBytes = memoryBytes
    }
  }

  /// Nodes with at least one allowed CPU or some allowed memory, by rising id.
  public let nodes: [Node]
  /// Whether the nodes come from the kernel; if not, there is one node 0.
  public let hasNUMA: Bool

  /// Why there is no NUMA, in words; nil if there is.
  public var absence: String? {
    hasNUMA ? nil : NUMA.absence ?? "the kernel's NUMA nodes do not cover the CPUs that this process may use"
  }

  /// All allowed CPUs in rising order.
  public var cpus: [Int] { nodes.flatMap(\.cpus).sorted() }

  public init(nodes: [Node], hasNUMA: Bool) {
    precondition(nodes.contains { !$0.cpus.isEmpty }, "a topology of \(nodes.count) nodes without a CPU")
    precondition(Set(nodes.map(\.id)).count == nodes.count, "node ids \(nodes.map(\.id)) repeat")
    self.nodes = nodes.sorted { $0.id < $1.id }
    self.hasNUMA = hasNUMA
  }

  /// What the process finds now. A CPU set (taskset, cpuset cgroup, Slurm) restricts it; so does
  /// `OMP_PROC_BIND`, by which OpenMP pins the main thread before the program starts.
  public static func current() -> Topology {
    let allowed = NUMA.processCPUs()
    let memory = Set(NUMA.allowedMemoryNodes())
    var unplaced = Set(allowed)
    let nodes = NUMA.nodes().map { node in
      let cpus = node.cpus.filter { unplaced.remove($0) != nil }
      return Node(id: node.id, cpus: cpus, memoryBytes: memory.contains(node.id) ? node.totalBytes : 0)
    }
    // A container may show nodes that don't cover its CPUs; nodes that can't be trusted are no help.
    guard unplaced.isEmpty else {
      return Topology(
        nodes: [Node(id: 0, cpus: allowed, memoryBytes: NUMA.physicalBytes)], hasNUMA: false)
    }
    return Topology(nodes: nodes.filter { !$0.cpus.isEmpty || $0.memoryBytes > 0 }, hasNUMA: true)
  }
}

extension Topology: CustomStringConvertible {
  public var description: String {
    let lines = nodes.map { node in
      "node \(node.id): \(node.memoryBytes >> 20) MiB, CPUs \(Placement.ranges(node.cpus))"
    }
    return (hasNUMA ? lines : ["no NUMA"] + lines).joined(separator: "\n")
  }
}
