import Parallel
import Tensor

/// The all-reduce of gradients and BertAdam behind it, each worker on its own slice of the flat buffers.
///
/// A slice is a run of chunks; a chunk lies within one tensor. Norms are sums over chunks in the layout's order, so
/// they do not depend on where slices end.
final class BertAdam: @unchecked Sendable {
  let configuration: OptimizerConfiguration
  private let state: TrainingState
  private let workers: Int
  private let adam = Adam()

  private struct Chunk {
    let range: Range<Int>
    let tensor: Int
  }
  private let tensors: [Parameter]
  private let chunks: [Chunk]
  /// Summed gradients of all trained parameters, of the last step, before clipping.
  let gradient: Parameters
  private let reductions: [AllReduce]
  /// Σ g² of each chunk.
  private let squares: Matrix
  /// Each worker's own copy of the tensors' gradient factors.
  private let factors: [Matrix]

  static let chunkSize = 8192

  /// - Parameters:
  ///   - nodes: all workers' partial sums of the gradients.
  ///   - arenas: each worker's own memory.
  init(
    _ configuration: OptimizerConfiguration, state: TrainingState, tree: ReductionTree, nodes: [TreeNode],
    arenas: some Collection<Arena>, shared: Arena
  ) throws {
    self.configuration = configuration
    self.state = state
    workers = arenas.count
    // The sum takes the place of one of the parts.
    gradient = Parameters(nodes[0].base)
    reductions = try arenas.map { try AllReduce(tree: tree, nodes: nodes, arena: $0) }
    tensors = Array(state.model.trained)
    chunks = tensors.enumerated().flatMap { i, tensor in
      stride(from: tensor.range.lowerBound, to: tensor.range.upperBound, by: Self.chunkSize).map {
        Chunk(range: $0..<min($0 + Self.chunkSize, tensor.range.upperBound), tensor: i)
      }
    }
    squares = try shared.matrix(rows: 1, columns: chunks.count)
    let tensorCount = tensors.count
    factors = try arenas.map { try $0.matrix(rows: 1, columns: tensorCount) }
  }

  /// Reduce-scatter: the sum over all shards, by the fixed tree, of the worker's slice; and its chunks' squares.
  func reduce(worker: Int) {
    for c in slice(of: chunks.count, part: worker, parts: workers, alignment: 1) {
      let range = chunks[c].range
      let sum = gradient.origin + range.lowerBound
      reductions[worker].reduce(slice: range, into: gradient.origin)
      squares[0, c] = dot(sum, sum, count: range.count)
    }
  }

  /// The squared norm of all summed gradients: not finite if one of them is not, or is too large for its square.
  var squaredNorm: Float {
    var sum: Float = 0
    for c in chunks.indices { sum += squares[0, c] }
    return sum
  }

  /// Clips and applies the worker's slice, writes the new parameters to every replica and moves the momentum copies
  /// towards them.
  func update(worker: Int, rate: Float) {
    let factors = factors[worker]
    let keyMomentum = state.model.configuration.keyMomentum
    findFactors(into: factors)
    let θ = state.replicas[0].origin
    for c in slice(of: chunks.count, part: worker, parts: workers, alignment: 1) {
      let (range, tensor) = (chunks[c].range, chunks[c].tensor)
      let first = range.lowerBound
      adam.update(
        θ + first, gradient: gradient.origin + first, first: state.firstMoment.origin + first,
        second: state.secondMoment.origin + first, count: range.count, gradientScale: factors[0, tensor], rate: rate,
        weightDecay: tensors[tensor].decays ? configuration.weightDecay : 0)
      for replica in state.replicas.dropFirst() {
        (replica.origin + first).update(from: θ + first, count: range.count)
      }
      for replica in state.keyReplicas {
        average(θ + first, into: replica.origin + first, count: range.count, momentum: keyMomentum)
      }
    }
  }

  /// What each tensor's gradient is multiplied by: PyTorch's clip of all gradients together, then of each tensor,
  /// min(1, maximum / (norm + 1e-6)).
  private func findFactors(into factors: Matrix) {
    factors.fill(0)
    for (c, chunk) in chunks.enumerated() { factors[0, chunk.tensor] += squares[0, c] }
    var total = 0.0
    for i in tensors.indices { total += Double(factors[0, i]) }
    let global = clip(Float(total.squareRoot()))
    for i in tensors.indices { factors[0, i] = global * clip(global * factors[0, i].squareRoot()) }
  }

  private func clip(_ norm: Float) -> Float { min(1, configuration.maximumNorm / (norm + 1e-6)) }
}
