import Parallel
import Tensor

/// The all-reduce of gradients and BertAdam behind it, each worker on its own slice of the flat buffers: the moments
/// live only there. Between ranks, see `BertAdam+Ranks.swift`.
final class BertAdam: @unchecked Sendable {
  let configuration: OptimizerConfiguration
  let state: TrainingState
  let ranks: Ranks
  let slices: GradientSlices
  let reduction: ReduceScatter
  private let adam = Adam()

  /// Summed gradients of all trained parameters, of the last step, before clipping; of several ranks, each has its
  /// parts.
  let gradient: Parameters
  /// Σ g² of each chunk.
  let squares: Matrix
  /// Each worker's own copy of the tensors' gradient factors.
  private let factors: [Matrix]
  let exchanges: Exchanges

  /// - Parameters:
  ///   - runs: each rank's shards.
  ///   - nodes: partial sums of the gradients, of all workers of this rank.
  ///   - arenas: each worker's own memory.
  init(
    _ configuration: OptimizerConfiguration, state: TrainingState, tree: ReductionTree, ranks: Ranks,
    runs: [Range<Int>], nodes: [TreeNode], arenas: some Collection<Arena>, shared: Arena
  ) throws {
    self.configuration = configuration
    self.state = state
    self.ranks = ranks
    let slices = GradientSlices(state.model, ranks: ranks)
    self.slices = slices
    reduction = try ReduceScatter(
      tree: tree, ranks: ranks, runs: runs, nodes: nodes,
      segments: slices.segments.indices.map(slices.range(ofSegment:)),
      parts: slices.segments.indices.map(slices.parts(segment:)), arenas: arenas, shared: shared)
    gradient = Parameters(reduction.sum)
    squares = try shared.matrix(rows: 1, columns: slices.chunks.count)
    let tensorCount = slices.tensors.count
    factors = try arenas.map { try $0.matrix(rows: 1, columns: tensorCount) }
    exchanges = Exchanges(slices, ranks: ranks, state: state, gradient: gradient, squares: squares)
  }

  /// Reduce-scatter: the sum over all shards, by the fixed tree, of the worker's slice; and its chunks' squares.
  func reduce(worker: Int) {
    forEachChunk(worker) { segment, c, chunk in
      reduction.reduce(worker: worker, segment: segment, slice: chunk.range)
      let sum = gradient.origin + chunk.range.lowerBound
      squares[0, c] = dot(sum, sum, count: chunk.range.count)
    }
  }

  /// The squared norm of all summed gradients: not finite if one of them is not, or is too large for its square.
  var squaredNorm: Float {
    var sum: Float = 0
    for c in slices.chunks.indices { sum += squares[0, c] }
    return sum
  }

  /// Clips and applies the worker's slice, writes the new parameters to every replica and moves the momentum copies
  /// towards them.
  func update(worker: Int, rate: Float) {
    let factors = factors[worker]
    findFactors(into: factors)
    let θ = state.replicas[0].origin
    forEachChunk(worker) { _, _, chunk in
      let first = chunk.range.lowerBound
      adam.update(
        θ + first, gradient: gradient.origin + first, first: state.firstMoment.origin + first,
        second: state.secondMoment.origin + first, count: chunk.range.count, gradientScale: factors[0, chunk.tensor],
        rate: rate, weightDecay: slices.tensors[chunk.tensor].decays ? configuration.weightDecay : 0)
      spread(chunk.range)
    }
  }

  /// Takes new parameters from the first replica to all others, and moves the momentum copies towards them.
  func spread(_ range: Range<Int>) {
    let new = state.replicas[0].origin + range.lowerBound
    for replica in state.replicas.dropFirst() {
      (replica.origin + range.lowerBound).update(from: new, count: range.count)
    }
    for replica in state.keyReplicas {
      average(
        new, into: replica.origin + range.lowerBound, count: range.count,
        momentum: state.model.configuration.keyMomentum)
    }
  }

  private func forEachChunk(_ worker: Int, _ body: (_ segment: Int, _ c: Int, GradientSlices.Chunk) -> Void) {
    for segment in slices.segments.indices {
      for c in slices.chunks(segment: segment, worker: ranks.number(ofWorker: worker)) {
        body(segment, c, slices.chunks[c])
      }
    }
  }

  /// What each tensor's gradient is multiplied by: PyTorch's clip of all gradients together, then of each tensor,
  /// min(1, maximum / (norm + 1e-6)).
  private func findFactors(into factors: Matrix) {
    factors.fill(0)
    for (c, chunk) in slices.chunks.enumerated() { factors[0, chunk.tensor] += squares[0, c] }
    var total = 0.0
    for i in slices.tensors.indices { total += Double(factors[0, i]) }
    let global = clip(Float(total.squareRoot()))
    for i in slices.tensors.indices { factors[0, i] = global * clip(global * factors[0, i].squareRoot()) }
  }

  private func clip(_ norm: Float) -> Float { min(1, configuration.maximumNorm / (norm + 1e-6)) }
}
