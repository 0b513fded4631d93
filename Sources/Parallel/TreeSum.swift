import Tensor

/// Adds the values of nodes that lie apart, in the order of the tree, a slice of the flat buffer at a time.
///
/// The result has the bits of the whole tree, however the leaves were split into runs. For N nodes a slice of n floats
/// costs (N - 1) · n additions and reads N · n floats; sums in between stay in cache, for the slice is done in blocks of
/// a few KiB.
package struct TreeSum: Sendable {
  /// An addition; operands below 0 are blocks of the stack (block b is ~b), others are nodes.
  private struct Step: Sendable {
    let left: Int
    let right: Int
    /// The block of the stack that takes the sum; the last step's goes to the destination.
    let target: Int
  }

  private let nodes: [TreeNode]
  private let steps: [Step]
  /// Blocks of one worker.
  private let stack: Matrix

  private static let blockFloats = 2048
  /// A cache line more than a block, so that blocks do not compete for the same sets of the cache.
  private static let blockStride = blockFloats + 16

  /// - Parameters:
  ///   - nodes: values that tile `root`: the maximal nodes of all workers' runs.
  ///   - root: the node to compute, by default that of all leaves.
  ///   - arena: gives the memory and has to outlive the value.
  package init(
    tree: ReductionTree, nodes: [TreeNode], root: Range<Int>? = nil, arena: Arena
  ) throws(MemoryError) {
    var steps: [Step] = []
    var unused = Set(nodes.indices)
    /// Lists the additions for a node's value, with the stack's blocks from `depth` on to use.
    func list(_ node: Range<Int>, _ depth: Int) -> Int {
      if let given = nodes.firstIndex(where: { $0.leaves == node }) {
        unused.remove(given)
        return given
      }
      guard let (left, right) = tree.children(of: node) else {
        preconditionFailure("no value of leaf \(node.lowerBound) among nodes \(nodes.map(\.leaves))")
      }
      let a = list(left, depth)
      let b = list(right, depth + 1)
      steps.append(Step(left: a, right: b, target: depth))
      return ~depth
    }
    _ = list(root ?? tree.root, 0)
    precondition(
      unused.isEmpty, "nodes \(unused.map { nodes[$0].leaves }) overlap others or are outside \(root ?? tree.root)")
    self.nodes = nodes
    self.steps = steps
    stack = try arena.matrix(rows: steps.isEmpty ? 0 : tree.height + 1, columns: Self.blockStride)
  }

  /// destination[i] ← the root's value for every i of the slice.
  ///
  /// - Parameter destination: the first float of a flat buffer, which may be one of the nodes'.
  package func reduce(slice: Range<Int>, into destination: UnsafeMutablePointer<Float>) {
    guard let last = steps.last else {
      if destination != nodes[0].base {
        (destination + slice.lowerBound).update(from: nodes[0].base + slice.lowerBound, count: slice.count)
      }
      return
    }
    var start = slice.lowerBound
    while start < slice.upperBound {
      let count = min(Self.blockFloats, slice.upperBound - start)
      for step in steps.dropLast() {
        add(
          operand(step.left, start), operand(step.right, start), into: stack.row(step.target),
          count: count)
      }
      add(operand(last.left, start), operand(last.right, start), into: destination + start, count: count)
      start += count
    }
  }

  @inline(__always) private func operand(_ index: Int, _ start: Int) -> UnsafePointer<Float> {
    UnsafePointer(index < 0 ? stack.row(~index) : nodes[index].base + start)
  }
}
