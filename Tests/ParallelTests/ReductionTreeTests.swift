import Parallel
import Testing

@Suite struct ReductionTreeTests {
  static let sizes = Array(1...17) + [24, 32, 60, 64]

  /// All nodes by the definition.
  static func nodes(_ leaves: Int) -> Set<Range<Int>> {
    var nodes = Set<Range<Int>>()
    for h in 0...7 {
      for k in 0..<leaves where k << h < leaves { nodes.insert(k << h..<min((k + 1) << h, leaves)) }
    }
    return nodes
  }

  @Test(arguments: sizes) func nodesAreThoseOfTheDefinition(leaves: Int) {
    let tree = ReductionTree(leaves: leaves)
    let nodes = Self.nodes(leaves)
    for start in 0..<leaves {
      for end in start..<leaves + 2 { #expect(tree.isNode(start..<end) == nodes.contains(start..<end)) }
    }
    for node in nodes {
      guard let (left, right) = tree.children(of: node) else {
        #expect(node.count == 1)
        continue
      }
      #expect(nodes.contains(left) && nodes.contains(right))
      #expect(left.lowerBound == node.lowerBound && right.upperBound == node.upperBound)
      #expect(left.upperBound == right.lowerBound && left.count >= right.count)
      #expect(left.count & (left.count - 1) == 0)
    }
  }

  @Test(arguments: sizes) func maximalNodesAreTheFewest(leaves: Int) {
    let tree = ReductionTree(leaves: leaves)
    let nodes = Self.nodes(leaves)
    #expect(tree.maximalNodes(in: tree.root) == [tree.root])
    for start in 0...leaves {
      // Fewest nodes from `start` to every end, by dynamic programming.
      var fewest = [start: 0]
      for end in stride(from: start + 1, through: leaves, by: 1) {
        fewest[end] = nodes.filter { $0.upperBound == end }.compactMap { fewest[$0.lowerBound] }.min().map { $0 + 1 }
      }
      for end in start...leaves {
        let tiles = tree.maximalNodes(in: start..<end)
        #expect(tiles.flatMap { Array($0) } == Array(start..<end))
        #expect(tiles.allSatisfy(nodes.contains))
        #expect(tiles.count == fewest[end])
      }
    }
  }

  @Test func heights() {
    #expect([1, 2, 3, 4, 5, 8, 9, 64].map { ReductionTree(leaves: $0).height } == [0, 1, 2, 2, 3, 3, 4, 6])
  }
}
