import Parallel
import Tensor

/// The gradients of all parameters over a group's samples, each part of one computed by its owner: no gradient of a
/// worker or a sample's weights is ever written to memory.
///
/// A *tile* of a weight's gradient is Σ over blocks of dYᵀ X, blocks added in the order of the tree while the tile is in
/// cache. What is made sample by sample (`SampleGradients`) is added by the same tree, whose leaves are the samples.
final class WeightGradients: Sendable {
  /// Partial sums: the fewest nodes of the tree that tile the group's samples, each a flat buffer.
  let nodes: [TreeNode]
  private let samples: Range<Int>
  private let tree: ReductionTree
  private let sources: [WeightSource]
  private let segments: [Segment]

  /// Tasks whose results are ready together.
  private struct Segment {
    let tiles: [WeightTile]
    let vectors: [Vector]
    let deal: Deal
  }

  /// A stretch of a parameter that is added sample by sample.
  private struct Vector {
    /// Among a sample's gradients.
    let range: Range<Int>
    /// From there to the place in a flat buffer.
    let shift: Int
    let parameter: Int
  }

  /// Sees each leaf, of a parameter or a tile of it: for a search.
  typealias Inspection = (_ order: Int, _ parameter: Parameter, _ samples: Range<Int>, _ leaf: Matrix) -> Void

  private let parameters: [Parameter]
  private let gradients: GradientRows
  /// For each worker and node the additions over the node's samples.
  private let sums: [[TreeSum]]
  private static let vectorSize = 1024

  /// - Parameters:
  ///   - samples: the group's, by their places in the batch.
  ///   - sources: of all weights, in the order of the layout.
  ///   - gradients: sample by sample.
  ///   - segments: ranges of the flat buffer.
  ///   - workers: memory of each of the group's workers.
  ///   - arena: the group's memory.
  init(
    _ model: CARATModel, samples: Range<Int>, tree: ReductionTree, sources: [WeightSource], gradients: GradientRows,
    segments: [Range<Int>], workers: ArraySlice<Arena>, in arena: Arena
  ) throws {
    self.samples = samples
    self.tree = tree
    self.sources = sources
    self.gradients = gradients
    parameters = Array(model.trained)
    let nodes = try tree.maximalNodes(in: samples).map {
      TreeNode(leaves: $0, base: try arena.allocate(model.trainedCount))
    }
    self.nodes = nodes
    let rows = samples.map { TreeNode(leaves: $0..<$0 + 1, base: gradients.values.row($0 - samples.lowerBound)) }
    sums = try workers.map { worker in
      try nodes.map { node in
        let leaves = rows.filter { node.leaves.contains($0.leaves.lowerBound) }
        return try TreeSum(tree: tree, nodes: leaves, root: node.leaves, arena: worker)
      }
    }
    let shape = Self.tileShape(sources, workers: workers.count)
    let tiles = sources.enumerated().flatMap {
      WeightTile.cut($1, number: $0, outputs: shape.outputs, inputs: shape.inputs)
    }
    let vectors = parameters.enumerated().flatMap { number, parameter -> [Vector] in
      guard let offset = parameter.sampleOffset else { return [] }
      return stride(from: 0, to: parameter.count, by: Self.vectorSize).map { first in
        Vector(
          range: offset + first..<offset + min(first + Self.vectorSize, parameter.count),
          shift: parameter.offset - offset, parameter: number)
      }
    }
    self.segments = segments.map { segment in
      let own = tiles.filter { segment.contains(sources[$0.source].parameter.offset) }
      let vectors = vectors.filter { segment.contains($0.range.lowerBound + $0.shift) }
      return Segment(
        tiles: own, vectors: vectors, deal: Deal(workers: workers.count, capacity: own.count + vectors.count))
    }
  }

  /// The size of tiles, at most: of large ones operands are packed less often, many small ones are dealt out evenly.
  private static func tileShape(_ sources: [WeightSource], workers: Int) -> (outputs: Int, inputs: Int) {
    func slowest(_ shape: (outputs: Int, inputs: Int)) -> Int {
      let costs = sources.flatMap { source in
        WeightTile.cut(source, number: 0, outputs: shape.outputs, inputs: shape.inputs)
          .map { source.perSample * cost($0) }
      }
      let deal = Deal(workers: workers, capacity: costs.count)
      for cost in costs { deal.add(cost: cost) }
      return deal.deal()
    }
    let shapes = [(largestEdge, largestEdge), (256, 128), (88, 256), (128, 128), (128, 64)]
    return shapes.min { slowest($0) < slowest($1) } ?? shapes[0]
  }

  private static let largestEdge = 256

  /// Multiply-adds of a tile for each row, packing included.
  private static func cost(_ tile: WeightTile) -> Int {
    let (m, n) = (tile.outputs.count, tile.inputs.count)
    return m * n + packingCost * (m + n)
  }

  /// Floats of scratch: operands packed, and a tile for each level of the tree.
  ///
  /// - Parameter rows: of a block of samples.
  static func scratchSize(batchSize: Int, rows: Int) -> Int {
    let levels = ReductionTree(leaves: batchSize).height + 1
    return levels * Scratch.size(rows: largestEdge, columns: largestEdge)
      + Scratch.size(MatrixProduct.transposedScratch(inner: rows, rows: largestEdge, columns: largestEdge))
  }

  /// Deals all tasks anew, as the rows of the current batch make them cost.
  func deal() {
    let count = samples.count
    for segment in segments {
      segment.deal.removeAll()
      var (source, rows) = (-1, 0)
      for tile in segment.tiles {
        if tile.source != source { (source, rows) = (tile.source, sources[tile.source].rowCount(0..<count)) }
        segment.deal.add(cost: rows * Self.cost(tile))
      }
      for vector in segment.vectors { segment.deal.add(cost: count * vector.range.count * Self.additionCost) }
      segment.deal.deal()
    }
  }

  /// What an element costs that is packed, or added sample by sample, in multiply-adds: measured.
  private static let (packingCost, additionCost) = (24, 16)

  /// A worker's part of a segment.
  ///
  /// - Parameters:
  ///   - worker: its number in the group.
  ///   - progress: called after each task.
  func compute(
    segment: Int, worker: Int, scratch: Scratch, inspect: Inspection? = nil, progress: () -> Void = {}
  ) {
    let segment = segments[segment]
    for task in segment.deal.tasks(ofWorker: worker) {
      for (n, node) in nodes.enumerated() {
        if task < segment.tiles.count {
          let tile = segment.tiles[task]
          let target = Parameters(node.base)[sources[tile.source].parameter].rows(tile.outputs).columns(tile.inputs)
          sum(tile, over: node.leaves, into: target, scratch: scratch, inspect)
        } else {
          let vector = segment.vectors[task - segment.tiles.count]
          if let inspect { report(vector, node.leaves, to: inspect) }
          sums[worker][n].reduce(slice: vector.range, into: node.base + vector.shift)
        }
      }
      progress()
    }
  }

  /// Calls `body` with what a worker has computed of a segment.
  func forEachResult(segment: Int, worker: Int, _ body: (Parameter, Matrix) -> Void) {
    let segment = segments[segment]
    for task in segment.deal.tasks(ofWorker: worker) {
      for node in nodes {
        if task < segment.tiles.count {
          let (tile, parameter) = (segment.tiles[task], sources[segment.tiles[task].source].parameter)
          body(parameter, Parameters(node.base)[parameter].rows(tile.outputs).columns(tile.inputs))
        } else {
          let vector = segment.vectors[task - segment.tiles.count]
          body(
            parameters[vector.parameter],
            Matrix(node.base + vector.shift + vector.range.lowerBound, rows: 1, columns: vector.range.count))
        }
      }
    }
  }

  /// target ← a tile's value of a node of the tree.
  private func sum(
    _ tile: WeightTile, over node: Range<Int>, into target: Matrix, scratch: Scratch, _ inspect: Inspection?
  ) {
    let source = sources[tile.source]
    func own(_ node: Range<Int>) -> Range<Int> {
      node.lowerBound - samples.lowerBound..<node.upperBound - samples.lowerBound
    }
    guard node.count > BatchDivision.blockSize, let (left, right) = tree.children(of: node) else {
      source.leaf(own(node), tile, into: target, scratch: scratch)
      inspect?(order(source.parameter), source.parameter, node, target)
      return
    }
    sum(tile, over: left, into: target, scratch: scratch, inspect)
    if right.count <= BatchDivision.blockSize, inspect == nil,
      source.addLeaf(own(right), tile, to: target, scratch: scratch)
    {
      return
    }
    var scratch = scratch
    let other = scratch.matrix(rows: target.rows, columns: target.columns)
    sum(tile, over: right, into: other, scratch: scratch, inspect)
    add(other, to: target)
  }

  private func report(_ vector: Vector, _ samples: Range<Int>, to inspect: Inspection) {
    let parameter = parameters[vector.parameter]
    for sample in samples {
      let row = gradients.values.row(sample - self.samples.lowerBound) + vector.range.lowerBound
      inspect(order(parameter), parameter, sample..<sample + 1, Matrix(row, rows: 1, columns: vector.range.count))
    }
  }

  /// Where a parameter's gradient stands in the order of computation: backward begins at the layout's end.
  private func order(_ parameter: Parameter) -> Int { Int(Int32.max) - parameter.offset }
}
