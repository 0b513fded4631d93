/// Memory for one purpose: what a plan lists, and what is compared with where its pages are.
package struct MemoryRegion: Sendable {
  package enum Use: Sendable, Equatable {
    /// A copy of what all workers read at all times.
    case replica
    /// What the workers of one node use: a group's, by its number.
    case group(Int)
    /// What one worker has to itself.
    case worker(Int)
    /// What workers of all nodes use alike.
    case shared
  }

  /// Such as "worker 3" or "queue and prototypes".
  package let name: String
  package let use: Use
  package let arena: Arena

  package init(_ name: String, _ use: Use, _ arena: Arena) {
    self.name = name
    self.use = use
    self.arena = arena
  }

  /// Why its memory lies where it does under a placement, in words.
  package func reason(_ placement: Placement) -> String {
    if let absence = placement.topology.absence {
      return "no NUMA, for \(absence): pages lie where the thread runs that first touches them"
    }
    switch (placement.policy, use, arena.placement) {
    case (.off, _, _): return "--numa off: pages lie where the thread runs that first touches them"
    case (.interleave, _, _): return "--numa interleave: page by page over all nodes that the process may use"
    case (.nodeLocal, .worker(let worker), .node(let node)):
      return "only worker \(worker) uses it, which runs on node \(node)"
    case (.nodeLocal, .worker(let worker), _):
      return "only worker \(worker) uses it, whose node has no memory for this process: the kernel takes the nearest"
    case (.nodeLocal, .group, .node(let node)): return "only the workers of node \(node) use it"
    case (.nodeLocal, .group, _):
      return "its workers' node has no memory for this process: the kernel takes the nearest"
    case (.nodeLocal, .replica, .node(let node)):
      return "the workers of node \(node) read it all the time; each node has a copy of its own"
    case (.nodeLocal, .replica, _): return "no node with workers has memory for this process: one copy for all"
    case (.nodeLocal, .shared, _): return "workers of all nodes use it alike: page by page over all of them"
    }
  }
}
