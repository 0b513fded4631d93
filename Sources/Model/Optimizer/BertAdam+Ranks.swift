import Parallel
import Tensor

// What ranks exchange around the update: parts of gradients before it, squares of chunks and new parameters after.
extension BertAdam {
  /// Messages with all other ranks; without any where there are none.
  struct Exchanges {
    /// Σ g² of all chunks.
    var squares = Messages()
    /// New parameters, to the first replica.
    var parameters = Messages()
    /// Moments of all parts, to rank 0.
    var moments = Messages()
    /// Gradients of all parts.
    var gradients = Messages()
    /// What other ranks have of the flat buffers.
    var received: [Range<Int>] = []

    init(_ slices: GradientSlices, ranks: Ranks, state: TrainingState, gradient: Parameters, squares: Matrix) {
      let rank = ranks.rank
      for segment in slices.segments.indices {
        let (all, parts) = (slices.range(ofSegment: segment), slices.parts(segment: segment))
        self.squares.gather(squares.base, parts: slices.chunkParts(segment: segment), rank: rank)
        parameters.gather(state.replicas[0].origin, parts: parts, rank: rank)
        gradients.gather(gradient.origin, parts: parts, rank: rank)
        let own = parts[rank]
        received += own.isEmpty ? [all] : [all.lowerBound..<own.lowerBound, own.upperBound..<all.upperBound]
        for moment in [state.firstMoment, state.secondMoment] {
          moments.gatherAtFirst(moment.origin, parts: parts, rank: rank)
        }
      }
    }
  }

  /// The worker's share of what the other ranks updated: to the other replicas and the momentum copies.
  func spreadReceived(worker: Int) {
    for range in exchanges.received {
      let share = slice(of: range.count, part: worker, parts: ranks.own.count, alignment: 16)
      spread(range.lowerBound + share.lowerBound..<range.lowerBound + share.upperBound)
    }
  }
}
