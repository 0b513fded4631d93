/// Adds one worker's shards into the maximal nodes of its run, one group of the flat buffer at a time.
///
/// A *group* is a range of the flat buffer, such as one layer's gradients, small enough that a handful of buffers of
/// its size stay in cache. For a group the worker takes its shards in rising order and for each
/// 1. writes the shard's value where `leaf` says (over what is there, which is stale), then
/// 2. calls `merge`, which adds as many levels as the leaf completes.
///
/// It works as a binary counter does: level h holds the value of a finished node of 2^h leaves, and a leaf that
/// finishes nodes at levels 0 ..< t is carried: L[t-1] + (… + (L[0] + leaf)), each the lower half-node plus the
/// upper one, in one pass over memory. The last leaf of a maximal node is carried through all levels in use, which
/// also closes the nodes that the end of the shards cuts short, and lands in the node's own buffer.
///
/// `Sendable` as `Matrix` is: addresses, which only the run's worker uses until a barrier gives the nodes to all.
public struct TreeAccumulator: @unchecked Sendable {
  /// The run's maximal nodes; each has a buffer of `count` floats.
  public let nodes: [TreeNode]
  /// Floats of the flat buffer.
  public let count: Int
  /// Floats of the largest group.
  public let maxGroup: Int

  /// Sees each shard's value of a group before it is merged, if anyone wants to.
  public var inspect: ((_ shard: Int, _ group: Range<Int>, _ leaf: UnsafePointer<Float>) -> Void)?

  private let levels: UnsafeMutablePointer<Float>
  private let scratch: UnsafeMutablePointer<Float>
  private let levelStride: Int

  /// - Parameters:
  ///   - run: the worker's shards; may be empty.
  ///   - arena: gives the memory and has to outlive the accumulator.
  public init(
    tree: ReductionTree, run: Range<Int>, count: Int, maxGroup: Int, arena: Arena
  ) throws(MemoryError) {
    precondition(count >= 0 && maxGroup >= 0 && maxGroup <= count, "groups of \(maxGroup) floats of \(count)")
    let ranges = tree.maximalNodes(in: run)
    let height = ranges.map { ReductionTree.height(ofLeaves: $0.count) }.max() ?? 0
    // A cache line more than a group, so that levels do not compete for the same sets of the cache.
    levelStride = (maxGroup + 15) / 16 * 16 + 16
    levels = try arena.allocate(height * levelStride)
    scratch = try arena.allocate(height > 0 ? levelStride : 0)
    var nodes: [TreeNode] = []
    for range in ranges { nodes.append(TreeNode(shards: range, base: try arena.allocate(count))) }
    self.nodes = nodes
    self.count = count
    self.maxGroup = maxGroup
  }

  /// Where to write a shard's value for a group, `group.count` floats; what is there before is stale.
  @inlinable public func leaf(_ shard: Int, _ group: Range<Int>) -> UnsafeMutablePointer<Float> {
    let step = step(shard, group)
    return step.carry == 0 ? step.target : step.source
  }

  /// Takes the value that was written where `leaf` said for the same shard and group.
  @inlinable public func merge(_ shard: Int, _ group: Range<Int>) {
    let step = step(shard, group)
    if step.carry != 0 { add(step, group.count) }
  }

  /// What a leaf does.
  @usableFromInline struct Step {
    /// Bit h is set if level h is added.
    @usableFromInline let carry: Int
    /// The leaf's memory, unless it goes to its target at once.
    @usableFromInline let source: UnsafeMutablePointer<Float>
    /// Where the sum goes.
    @usableFromInline let target: UnsafeMutablePointer<Float>
  }

  @usableFromInline func step(_ shard: Int, _ group: Range<Int>) -> Step {
    precondition(
      group.lowerBound >= 0 && group.upperBound <= count && group.count <= maxGroup,
      "group \(group) of \(count) floats, at most \(maxGroup) at once")
    guard let node = nodes.first(where: { $0.shards.contains(shard) }) else {
      preconditionFailure("shard \(shard) is not in this worker's run \(nodes.map(\.shards))")
    }
    // Before leaf i of the node, level h is in use where bit h of i is set.
    let i = shard - node.shards.lowerBound
    if shard == node.shards.upperBound - 1 {
      return Step(carry: i, source: scratch, target: node.base + group.lowerBound)
    }
    let level = (~i).trailingZeroBitCount
    return Step(carry: i & (1 << level - 1), source: scratch, target: levels + level * levelStride)
  }

  @usableFromInline func add(_ step: Step, _ count: Int) {
    addLevels(step.carry, of: levels, stride: levelStride, to: step.source, into: step.target, count: count)
  }
}
