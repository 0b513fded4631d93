import Parallel
import Tensor

/// What shards tell one another within a step: whole-batch buffers, each row written by the shard that owns it. Of
/// several ranks, each has all rows once they were gathered.
final class Exchange: @unchecked Sendable {
  /// Live rows [B 3M C, P].
  let live: Matrix
  /// The momentum copy's rows for the same samples, [B 3M C, P]; no rows where live rows enter the queue.
  let keys: Matrix
  /// [B 3M C]: each live row's class.
  let liveClasses: UnsafeMutablePointer<Int32>
  /// Betas [B M, C D].
  let betas: Matrix
  /// Gradients of the shuffled betas, in the order of the shuffle's entries: [B M, C D].
  let shuffledGradient: Matrix
  /// Each sample's share of each loss term, [B, terms]; the contrastive column is unused.
  let terms: Matrix
  /// Scores [B, C].
  let scores: Matrix

  /// Gather what the forward pass wrote, and what the shuffled aggregation did: live rows, their classes, keys, betas,
  /// scores; gradients of the shuffled betas, loss terms. 2.1 MB and 1.2 MB at the paper's size.
  let forward: Messages
  let shuffled: Messages
  let evaluated: Messages

  /// - Parameter parts: each rank's samples of a batch of B; by default those of a rank alone.
  init(
    _ c: ModelConfiguration, batchSize B: Int, parts: [Range<Int>]? = nil, rank: Int = 0, in arena: Arena
  ) throws {
    let parts = parts ?? [0..<B]
    let (M, C) = (c.modalities.count, c.labels)
    live = try arena.matrix(rows: B * c.liveRowsPerSample, columns: c.latentSize)
    keys = try arena.matrix(rows: c.queueKeys == .live ? 0 : live.rows, columns: c.latentSize)
    liveClasses = try arena.allocate(of: Int32.self, count: B * c.liveRowsPerSample)
    betas = try arena.matrix(rows: B * M, columns: C * c.hiddenSize)
    shuffledGradient = try arena.matrix(rows: B * M, columns: C * c.hiddenSize)
    terms = try arena.matrix(rows: B, columns: LossTerm.allCases.count)
    scores = try arena.matrix(rows: B, columns: C)

    var (forward, shuffled, evaluated) = (Messages(), Messages(), Messages())
    func gather<T: BitwiseCopyable>(_ base: UnsafeMutablePointer<T>, perSample: Int, in messages: inout Messages) {
      messages.gather(
        base, parts: parts.map { $0.lowerBound * perSample..<$0.upperBound * perSample }, rank: rank)
    }
    for x in [live, keys, betas, scores] { gather(x.base, perSample: x.count / B, in: &forward) }
    gather(liveClasses, perSample: c.liveRowsPerSample, in: &forward)
    for x in [shuffledGradient, terms] { gather(x.base, perSample: x.count / B, in: &shuffled) }
    gather(scores.base, perSample: C, in: &evaluated)
    (self.forward, self.shuffled, self.evaluated) = (forward, shuffled, evaluated)
  }

  /// Writes the classes of one sample's live rows: C (2m + (0 where positive, 1 where negative)) + label.
  func classify(sample: Int, labels: UnsafePointer<Float>, modalities M: Int, count C: Int) {
    for level in 0..<3 {
      for m in 0..<M {
        for c in 0..<C {
          liveClasses[((sample * 3 + level) * M + m) * C + c] = Int32(C * (2 * m + (labels[c] < 0.5 ? 1 : 0)) + c)
        }
      }
    }
  }
}
