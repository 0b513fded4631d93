import Parallel
import Tensor

/// BertAdam, each worker on its own slices of the flat buffers: the moments live only there.
///
/// Of several ranks, each updates its parts of the parameters; the others get them segment by segment, while the next
/// segment is updated.
final class BertAdam: Sendable {
  let configuration: OptimizerConfiguration
  private let state: TrainingState
  private let reduction: GradientReduction
  private let adam = Adam()
  /// Each worker's own copy of the tensors' gradient factors.
  private let factors: [Matrix]
  /// For each segment, gather its new parameters, to the first replica.
  let gatherParameters: [Messages]
  /// Gather the moments of all parts, at rank 0.
  let gatherMoments: Messages
  /// What other ranks have of the flat buffers.
  private let received: [Range<Int>]

  private var slices: GradientSlices { reduction.slices }
  private var ranks: Ranks { reduction.ranks }

  /// - Parameter arenas: each worker's own memory.
  init(
    _ configuration: OptimizerConfiguration, state: TrainingState, reduction: GradientReduction, arenas: [Arena]
  ) throws {
    self.configuration = configuration
    self.state = state
    self.reduction = reduction
    let (slices, rank) = (reduction.slices, reduction.ranks.rank)
    factors = try arenas.map { try $0.matrix(rows: 1, columns: slices.tensors.count) }
    let segments = slices.segments.indices
    gatherParameters = segments.map { segment in
      var messages = Messages()
      messages.gather(state.replicas[0].origin, parts: slices.parts(segment: segment), rank: rank)
      return messages
    }
    var gatherMoments = Messages()
    for segment in segments {
      for moment in [state.firstMoment, state.secondMoment] {
        gatherMoments.gatherAtFirst(moment.origin, parts: slices.parts(segment: segment), rank: rank)
      }
    }
    self.gatherMoments = gatherMoments
    received = segments.flatMap { segment in
      let (all, own) = (slices.range(ofSegment: segment), slices.parts(segment: segment)[rank])
      return own.isEmpty ? [all] : [all.lowerBound..<own.lowerBound, own.upperBound..<all.upperBound]
    }
  }

  /// Brings moments home that other ranks updated: those of `receiver`'s parts, which this one did, and its own from `sender`.
  func bringHomeMoments(to receiver: Int, from sender: Int) -> Messages {
    var messages = Messages()
    for segment in slices.segments.indices {
      let parts = slices.parts(segment: segment)
      for moment in [state.firstMoment, state.secondMoment] {
        messages.send(Messages.bytes(moment.origin, parts[receiver]), to: receiver)
        messages.receive(Messages.bytes(moment.origin, parts[ranks.rank]), from: sender)
      }
    }
    return messages
  }

  /// Finds what each tensor's gradient is multiplied by, for `update`.
  func prepare(worker: Int) { findFactors(into: factors[worker]) }

  /// Clips and applies the worker's slice of a segment, writes the new parameters to every replica and moves the momentum
  /// copies towards them.
  func update(segment: Int, worker: Int, rate: Float) {
    let factors = factors[worker]
    let (θ, gradient) = (state.replicas[0].origin, reduction.gradient.origin)
    for c in slices.chunks(segment: segment, worker: ranks.number(ofWorker: worker)) {
      let chunk = slices.chunks[c]
      let first = chunk.range.lowerBound
      adam.update(
        θ + first, gradient: gradient + first, first: state.firstMoment.origin + first,
        second: state.secondMoment.origin + first, count: chunk.range.count, gradientScale: factors[0, chunk.tensor],
        rate: rate, weightDecay: slices.tensors[chunk.tensor].decays ? configuration.weightDecay : 0)
      spread(chunk.range)
    }
  }

  /// The worker's share of what the other ranks updated: to the other replicas and the momentum copies.
  func spreadReceived(worker: Int) {
    for range in received {
      let share = slice(of: range.count, part: worker, parts: ranks.own.count, alignment: 16)
      spread(share.shifted(by: range.lowerBound))
    }
  }

  /// Takes new parameters from the first replica to all others, and moves the momentum copies and the average towards them.
  private func spread(_ range: Range<Int>) {
    let new = state.replicas[0].origin + range.lowerBound
    for replica in state.replicas.dropFirst() {
      (replica.origin + range.lowerBound).update(from: new, count: range.count)
    }
    for replica in state.keyReplicas {
      average(
        new, into: replica.origin + range.lowerBound, count: range.count,
        momentum: state.model.configuration.keyMomentum)
    }
    if let moving = state.average, let decay = configuration.averageDecay(atStep: state.step) {
      average(new, into: moving.origin + range.lowerBound, count: range.count, momentum: decay)
    }
  }

  /// What each tensor's gradient is multiplied by: PyTorch's clip of all gradients together, then of each tensor,
  /// min(1, maximum / (norm + 1e-6)).
  private func findFactors(into factors: Matrix) {
    factors.fill(0)
    for (c, chunk) in slices.chunks.enumerated() { factors[0, chunk.tensor] += reduction.squares[0, c] }
    var total = 0.0
    for i in slices.tensors.indices { total += Double(factors[0, i]) }
    let global = clip(Float(total.squareRoot()))
    for i in slices.tensors.indices { factors[0, i] = global * clip(global * factors[0, i].squareRoot()) }
  }

  private func clip(_ norm: Float) -> Float { min(1, configuration.maximumNorm / (norm + 1e-6)) }
}
