import Tensor

/// Adds what all workers of all ranks accumulated, in the order of the tree; each rank gets its parts of the sum.
///
/// A *segment* is a range of the flat buffer, each rank's *part* of it a contiguous range. For a segment
/// 1. `combine`: a rank's workers add their nodes into the maximal nodes of the rank's run of leaves;
/// 2. `start`: of each of those nodes every rank gets its part, by messages of the communicator;
/// 3. `reduce`: once they are there, each worker adds its slice of all ranks' nodes.
///
/// Values cross ranks as nodes, never as sums in another order, so the result has the bits of the whole tree. A run of
/// leaves has one to 2 log S maximal nodes (one where R and S are powers of 2), and each costs its rank
/// (R - 1)/R of the buffer in bytes sent. A rank alone does only step 3.
package final class ReduceScatter: Sendable {
  /// Where this rank's parts of the sum go: a flat buffer, which may be one of the nodes'.
  package var sum: UnsafeMutablePointer<Float> { place.base }
  private let place: Matrix
  private let ranks: Ranks
  private let segments: [Range<Int>]
  /// For each worker the additions that make the rank's nodes.
  private let combinations: [[(sum: TreeSum, target: TreeNode)]]
  private let messages: [Messages]
  /// For each segment each worker's additions of all ranks' nodes.
  private let reductions: [[TreeSum]]
  /// Of which the rest has addresses.
  private let arenas: [Arena]

  /// - Parameters:
  ///   - runs: each rank's leaves.
  ///   - nodes: the maximal nodes of this rank's workers, flat buffers.
  ///   - segments: ranges that together cover what is to be added.
  ///   - parts: for each segment each rank's part.
  ///   - arenas: each worker's own memory.
  package init(
    tree: ReductionTree, ranks: Ranks, runs: [Range<Int>], nodes: [TreeNode], segments: [Range<Int>],
    parts: [[Range<Int>]], arenas: some Collection<Arena>, shared: Arena
  ) throws(MemoryError) {
    precondition(runs.count == ranks.size && parts.allSatisfy { $0.count == ranks.size }, "\(ranks.size) ranks")
    let rank = ranks.rank
    self.ranks = ranks
    self.segments = segments
    self.arenas = Array(arenas) + [shared]

    var own: [TreeNode] = []
    var combinations = arenas.map { _ in [(sum: TreeSum, target: TreeNode)]() }
    if ranks.size == 1 {
      own = nodes
    } else {
      for leaves in tree.maximalNodes(in: runs[rank]) {
        let members = nodes.filter { leaves.contains($0.leaves.lowerBound) }
        // The sum takes the place of the first of its members.
        own.append(TreeNode(leaves: leaves, base: members[0].base))
        guard members.count > 1 else { continue }
        for (worker, arena) in arenas.enumerated() {
          let sum = try TreeSum(tree: tree, nodes: members, root: leaves, arena: arena)
          combinations[worker].append((sum, members[0]))
        }
      }
    }
    self.combinations = combinations
    let length = segments.map(\.upperBound).max() ?? 0
    // A rank without a leaf has no node whose place the sum could take.
    place =
      if let first = own.first { Matrix(first.base, rows: 1, columns: length) } else {
        try shared.matrix(rows: 1, columns: length)
      }

    let peers = Messages.peers(of: rank, among: ranks.size)
    let ownCount = parts.reduce(0) { $0 + $1[rank].count }
    /// Received nodes: this rank's parts of all segments, one behind the other.
    var received: [(rank: Int, leaves: Range<Int>, base: UnsafeMutablePointer<Float>)] = []
    for peer in peers {
      for leaves in tree.maximalNodes(in: runs[peer]) {
        received.append((peer, leaves, try shared.allocate(ownCount)))
      }
    }
    var messages: [Messages] = []
    var reductions: [[TreeSum]] = []
    var start = 0
    for parts in parts {
      let part = parts[rank]
      var exchange = Messages()
      for peer in peers { for node in own { exchange.send(Messages.bytes(node.base, parts[peer]), to: peer) } }
      // The place in the received buffer as if it were a flat one: additions count elements from there.
      let foreign = received.map { TreeNode(leaves: $0.leaves, base: $0.base + start - part.lowerBound) }
      for (node, source) in zip(foreign, received) {
        exchange.receive(Messages.bytes(node.base, part), from: source.rank)
      }
      messages.append(exchange)
      var each: [TreeSum] = []
      for arena in arenas { each.append(try TreeSum(tree: tree, nodes: own + foreign, arena: arena)) }
      reductions.append(each)
      start += part.count
    }
    self.messages = messages
    self.reductions = reductions
  }

  /// Bytes that this rank sends for all segments.
  package var sentBytes: Int { messages.reduce(0) { $0 + $1.sentBytes } }

  /// The worker's share of adding the rank's own nodes, once all its workers have theirs.
  package func combine(worker: Int, segment: Int) {
    let own = share(worker, segment)
    for (sum, target) in combinations[worker] { sum.reduce(slice: own, into: target.base) }
  }

  /// Calls `body` with what `combine` wrote for a worker.
  package func forEachCombined(worker: Int, segment: Int, _ body: (Matrix) -> Void) {
    let own = share(worker, segment)
    for (_, target) in combinations[worker] { body(Matrix(target.base + own.lowerBound, rows: 1, columns: own.count)) }
  }

  private func share(_ worker: Int, _ segment: Int) -> Range<Int> {
    let range = segments[segment]
    return slice(of: range.count, part: worker, parts: combinations.count, alignment: 16)
      .shifted(by: range.lowerBound)
  }

  /// Starts to exchange a segment's parts, once all of this rank's workers have combined it.
  package func start(segment: Int) { ranks.communicator.start(messages[segment]) }

  /// sum[i] ← the root's value for every i of a slice of this rank's part of a segment, once the exchange is done.
  package func reduce(worker: Int, segment: Int, slice: Range<Int>) {
    reductions[segment][worker].reduce(slice: slice, into: sum)
  }
}
