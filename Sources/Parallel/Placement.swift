import Tensor

/// Which CPU and NUMA node each worker gets, and where memory is to lie (`MemoryPolicy`).
///
/// Workers are spread over the nodes as evenly as their cores allow, so that the memory channels of all nodes are
/// used; a core's second hardware thread is used when every core of all nodes has a worker. Workers of neighbouring index are
/// on the same node.
///
/// With more workers than CPUs, CPUs are dealt out again (`isOversubscribed`). A worker is then held to its
/// node's CPUs instead of one: its memory stays near, and the kernel may move it off a CPU whose other worker is
/// busy while a CPU next door sleeps.
package struct Placement: Sendable, Codable, Equatable {
  package struct Worker: Sendable, Codable, Equatable {
    package let cpu: Int
    package let node: Int
  }

  package let topology: Topology
  package let workers: [Worker]
  /// What is wished for the workers' memory; `effectivePolicy` is what can be had.
  package let policy: MemoryPolicy
  /// Whether the nodes are those of a larger machine that this one emulates: memory lies anywhere.
  package let isEmulated: Bool

  /// Workers of a machine of so many nodes, emulated by the CPUs that there are: they have their nodes' memory in common, as
  /// there, but work on all of these CPUs.
  package init(emulatedNodes nodes: Int, workers count: Int, on topology: Topology) {
    precondition(nodes > 0 && count >= nodes, "\(count) workers on \(nodes) emulated nodes")
    self.topology = Topology(
      nodes: (0..<nodes).map { Topology.Node(id: $0, cpus: topology.cpus, memoryBytes: 0) }, hasNUMA: false)
    policy = .off
    isEmulated = true
    workers = (0..<nodes).flatMap { node in
      slice(of: count, part: node, parts: nodes).map {
        Worker(cpu: topology.cpus[$0 % topology.cpus.count], node: node)
      }
    }
  }

  /// - Parameter count: workers, by default one a physical core.
  package init(_ topology: Topology, workers count: Int? = nil, memory policy: MemoryPolicy = .nodeLocal) {
    let nodes = topology.nodes.filter { !$0.cores.isEmpty }
    let cpus = nodes.map(\.cpusByUse)
    let capacity = cpus.reduce(0) { $0 + $1.count }
    let count = count ?? topology.coreCount
    precondition(count > 0, "\(count) workers")
    var counts = cpus.map { $0.count * (count / capacity) }
    var added = [Int](repeating: 0, count: nodes.count)
    for _ in 0..<count % capacity {
      let free = nodes.indices.filter { added[$0] < nodes[$0].cores.count }
      let open = free.isEmpty ? nodes.indices.filter { added[$0] < cpus[$0].count } : free
      guard let next = open.min(by: { (added[$0], $0) < (added[$1], $1) }) else { break }
      added[next] += 1
      counts[next] += 1
    }
    self.topology = topology
    self.policy = policy
    isEmulated = false
    workers = nodes.indices.flatMap { n in
      (0..<counts[n]).map { Worker(cpu: cpus[n][$0 % cpus[n].count], node: nodes[n].id) }
    }
  }

  package var count: Int { workers.count }

  /// Whether there are more workers than CPUs.
  package var isOversubscribed: Bool { workers.count > topology.cpus.count }

  /// Ids of the nodes that have workers, in the order of the workers.
  package var nodes: [Int] {
    var seen = Set<Int>()
    return workers.map(\.node).filter { seen.insert($0).inserted }
  }

  /// The workers of a node; empty if it has none.
  package func workers(ofNode node: Int) -> Range<Int> {
    let start = workers.firstIndex { $0.node == node } ?? 0
    return start..<start + workers.count { $0.node == node }
  }

  /// The CPUs that a worker's thread is held to.
  package func affinity(ofWorker worker: Int) -> [Int] {
    precondition(workers.indices.contains(worker), "worker \(worker) of \(workers.count)")
    let place = workers[worker]
    guard isOversubscribed, let node = topology.nodes.first(where: { $0.id == place.node }) else { return [place.cpu] }
    return node.cpus
  }
}

extension Placement: CustomStringConvertible {
  package var description: String {
    let lines = nodes.map { node in
      let range = workers(ofNode: node)
      let cpus = isOversubscribed ? affinity(ofWorker: range.lowerBound) : workers[range].map(\.cpu)
      return "node \(node): workers \(Self.ranges(Array(range))) on CPUs \(Self.ranges(cpus))"
    }
    return lines.joined(separator: "\n") + (isOversubscribed ? "\nmore workers than CPUs" : "")
  }

  /// CPUs as people write them: 0-3,8.
  package static func ranges(_ cpus: [Int]) -> String {
    var parts: [ClosedRange<Int>] = []
    for cpu in cpus {
      if let last = parts.last, cpu == last.upperBound + 1 {
        parts[parts.count - 1] = last.lowerBound...cpu
      } else {
        parts.append(cpu...cpu)
      }
    }
    return parts.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
  }
}
