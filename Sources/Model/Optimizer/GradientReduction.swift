import Parallel
import Tensor

/// The sum of all gradients over NUMA nodes and ranks, each worker its own slice of it, in the order of the tree.
final class GradientReduction: Sendable {
  let slices: GradientSlices
  let ranks: Ranks
  let scatter: ReduceScatter
  /// Summed gradients of all trained parameters, of the last step, before clipping; of several ranks, each has its
  /// parts.
  let gradient: Parameters
  /// Σ g² of each chunk.
  let squares: Matrix
  /// Gather the squares of all chunks, and the gradients of all parts.
  let gatherSquares: Messages
  let gatherGradients: Messages

  /// - Parameters:
  ///   - runs: each rank's samples.
  ///   - nodes: partial sums of the gradients, of all groups of this rank.
  ///   - arenas: each worker's own memory.
  init(
    _ slices: GradientSlices, tree: ReductionTree, ranks: Ranks, runs: [Range<Int>], nodes: [TreeNode],
    arenas: [Arena], shared: Arena
  ) throws {
    self.ranks = ranks
    self.slices = slices
    let segments = slices.segments.indices
    scatter = try ReduceScatter(
      tree: tree, ranks: ranks, runs: runs, nodes: nodes, segments: segments.map(slices.range(ofSegment:)),
      parts: segments.map(slices.parts(segment:)), arenas: arenas, shared: shared)
    gradient = Parameters(scatter.sum)
    squares = try shared.matrix(rows: 1, columns: slices.chunks.count)
    var (gatherSquares, gatherGradients) = (Messages(), Messages())
    for segment in segments {
      gatherSquares.gather(squares.base, parts: slices.chunkParts(segment: segment), rank: ranks.rank)
      gatherGradients.gather(gradient.origin, parts: slices.parts(segment: segment), rank: ranks.rank)
    }
    (self.gatherSquares, self.gatherGradients) = (gatherSquares, gatherGradients)
  }

  /// The sum over all samples, by the fixed tree, of a worker's slice; and its chunks' squares.
  func reduce(worker: Int) {
    for segment in slices.segments.indices {
      for c in slices.chunks(segment: segment, worker: ranks.number(ofWorker: worker)) {
        let chunk = slices.chunks[c].range
        scatter.reduce(worker: worker, segment: segment, slice: chunk)
        let sum = gradient.origin + chunk.lowerBound
        squares[0, c] = dot(sum, sum, count: chunk.count)
      }
    }
  }

  /// The squared norm of all summed gradients: not finite if one of them is not, or is too large for its square.
  var squaredNorm: Float {
    var sum: Float = 0
    for c in slices.chunks.indices { sum += squares[0, c] }
    return sum
  }
}
