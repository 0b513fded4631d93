import Tensor

/// The fixed binary tree by which values of S leaves are added, whoever has them.
///
/// Vocabulary: a *leaf* is one sample's value; a *node* is a range of leaves [k·2^h, min((k+1)·2^h, S)), and its value
/// is value(lower half) + value(upper half), or that of its lower half if the upper one is empty; the *root* is
/// 0..<S; a *run* is a contiguous range of leaves, as a group of workers has; its *maximal nodes* are the fewest nodes that
/// tile it. Floating-point sums depend on the order of additions, and this order depends on S alone.
package struct ReductionTree: Sendable, Equatable {
  /// Number of leaves, S: the samples of a batch.
  package let leaves: Int

  package init(leaves: Int) {
    precondition(leaves > 0, "a tree of \(leaves) leaves")
    self.leaves = leaves
  }

  package var root: Range<Int> { 0..<leaves }

  /// Additions on the longest way from a leaf to the root.
  package var height: Int { Self.height(ofLeaves: leaves) }

  /// The least h with 2^h ≥ `count`.
  static func height(ofLeaves count: Int) -> Int { Int.bitWidth - (count - 1).leadingZeroBitCount }

  /// Whether a range of leaves is a node. A range determines its node's value: where the end of the leaves
  /// cuts several levels to the same range, each is its own lower half.
  package func isNode(_ range: Range<Int>) -> Bool {
    guard range.lowerBound >= 0, range.upperBound <= leaves, !range.isEmpty else { return false }
    let width = 1 << Self.height(ofLeaves: range.count)
    return range.lowerBound % width == 0 && (range.count == width || range.upperBound == leaves)
  }

  /// The two nodes whose values add to a node's; nil for a leaf.
  package func children(of node: Range<Int>) -> (left: Range<Int>, right: Range<Int>)? {
    precondition(isNode(node), "\(node) is no node of a tree of \(leaves) leaves")
    guard node.count > 1 else { return nil }
    let middle = node.lowerBound + 1 << (Self.height(ofLeaves: node.count) - 1)
    return (node.lowerBound..<middle, middle..<node.upperBound)
  }

  /// The fewest nodes that tile a run of leaves, in order.
  package func maximalNodes(in run: Range<Int>) -> [Range<Int>] {
    precondition(run.lowerBound >= 0 && run.upperBound <= leaves, "run \(run) of \(leaves) leaves")
    var nodes: [Range<Int>] = []
    var start = run.lowerBound
    while start < run.upperBound {
      var end = start + 1
      var width = 2
      while start % width == 0, end < leaves, min(start + width, leaves) <= run.upperBound {
        end = min(start + width, leaves)
        width *= 2
      }
      nodes.append(start..<end)
      start = end
    }
    return nodes
  }
}

/// A node's value in memory, or the place for it.
package struct TreeNode: @unchecked Sendable {
  // Proof of Sendable: an address, as `Matrix`; the phases of a step settle its use.

  /// The leaves whose values are summed.
  package let leaves: Range<Int>
  /// The first float of the flat buffer.
  package let base: UnsafeMutablePointer<Float>

  package init(leaves: Range<Int>, base: UnsafeMutablePointer<Float>) {
    self.leaves = leaves
    self.base = base
  }
}
