import Parallel

/// Leaves over a flat buffer, and their sums straight from the tree's definition.
package struct Leaves: Sendable {
  package let values: [[Float]]

  package init(leaves: Int, count: Int, seed: UInt64) {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    values = (0..<leaves).map { _ in
      (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        // Magnitudes over ten powers of two: sums in another order differ.
        return Float(Int64(bitPattern: state) >> 40) * Float(sign: .plus, exponent: Int(state % 10), significand: 1)
      }
    }
  }

  /// The value of node [k·2^h, min((k+1)·2^h, S)).
  package func sum(_ k: Int, _ h: Int) -> [Float] {
    if h == 0 { return values[k] }
    let left = sum(2 * k, h - 1)
    if (2 * k + 1) << (h - 1) >= values.count { return left }
    return zip(left, sum(2 * k + 1, h - 1)).map { $0 + $1 }
  }

  package var total: [Float] { sum(0, 7) }

  /// The value of a node that is given by its leaves.
  package func sum(over node: Range<Int>) -> [Float] {
    let h = (0...7).first { 1 << $0 >= node.count } ?? 0
    return sum(node.lowerBound >> h, h)
  }

  /// The values of the maximal nodes of runs that tile the leaves, as groups of workers have them.
  package func nodes(_ tree: ReductionTree, runs: [Range<Int>], in arena: Arena) throws -> [TreeNode] {
    try runs.flatMap(tree.maximalNodes(in:)).map { node in
      let base = try arena.allocate(values[0].count)
      let sum = sum(over: node)
      base.update(from: sum, count: sum.count)
      return TreeNode(leaves: node, base: base)
    }
  }
}
