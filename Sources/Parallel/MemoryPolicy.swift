import Tensor

/// What the kernel is asked for about where memory lies.
package enum MemoryPolicy: String, Sendable, Codable, CaseIterable {
  /// What one worker uses lies on its node, each node has a replica of what all workers read at all times, and what
  /// they exchange is interleaved.
  case nodeLocal = "node-local"
  /// Everything is interleaved, and one replica serves all.
  case interleave
  /// Nothing: pages lie where they are first touched, and one replica serves all.
  case off
}

extension Placement {
  /// The policy that can be had: without NUMA the kernel can't be asked for anything.
  package var effectivePolicy: MemoryPolicy { topology.hasNUMA ? policy : .off }

  /// Runs of workers that have memory in common: a node's, or all where memory has no nodes.
  package var groups: [Range<Int>] { hasNodes ? nodes.map(workers(ofNode:)) : [0..<count] }

  /// Where memory is to lie that a group's workers use.
  package func memory(ofGroup group: Int) -> MemoryPlacement { memory(ofWorker: groups[group].lowerBound) }

  /// Where memory is to lie that a worker has to itself.
  package func memory(ofWorker worker: Int) -> MemoryPlacement {
    precondition(workers.indices.contains(worker), "worker \(worker) of \(workers.count)")
    guard effectivePolicy == .nodeLocal else { return sharedMemory }
    let node = workers[worker].node
    // On a node without memory for this process, the kernel itself knows which one is next.
    return hasMemory(node) ? .node(node) : .anywhere
  }

  /// Where memory is to lie that workers of all nodes use alike.
  package var sharedMemory: MemoryPlacement { effectivePolicy == .off ? .anywhere : .interleaved }

  /// The nodes that have a replica of their own; none if there is one for all.
  package var replicaNodes: [Int] {
    isEmulated ? nodes : hasNodes ? nodes.filter(hasMemory) : []
  }

  /// Where each replica is to lie, at least one.
  package var replicas: [MemoryPlacement] {
    let own = replicaNodes.map { isEmulated ? MemoryPlacement.anywhere : .node($0) }
    return own.isEmpty ? [sharedMemory] : own
  }

  private var hasNodes: Bool { effectivePolicy == .nodeLocal || isEmulated }

  private func hasMemory(_ node: Int) -> Bool { topology.nodes.contains { $0.id == node && $0.memoryBytes > 0 } }
}
