import Parallel
import Tensor

/// What workers tell one another within a step: whole-batch buffers, each row written by whoever it was dealt to. Of
/// several ranks, each has all rows once they were gathered.
final class Exchange: @unchecked Sendable {
  // Proof of Sendable: addresses alone; the phases of a step settle who writes which rows.

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
  /// B
  let batchSize: Int
  /// Each sample's shares of each loss term, by label or modality: [B, terms · parts]. Those of the contrastive loss, and
  /// parts that a term does not have, are unused.
  let terms: Matrix
  private let termParts: Int
  /// Scores [B, C].
  let scores: Matrix

  /// Gather what the forward pass wrote, and what the aggregation did: live rows, their classes, keys, betas; gradients of
  /// the shuffled betas, loss terms, scores. 2.1 MB and 1.2 MB at the paper's size.
  let forward: Messages
  let aggregated: Messages
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
    batchSize = B
    termParts = max(C, M)
    terms = try arena.matrix(rows: B, columns: LossTerm.allCases.count * termParts)
    scores = try arena.matrix(rows: B, columns: C)

    var (forward, aggregated, evaluated) = (Messages(), Messages(), Messages())
    func gather<T: BitwiseCopyable>(_ base: UnsafeMutablePointer<T>, perSample: Int, in messages: inout Messages) {
      messages.gather(
        base, parts: parts.map { $0.lowerBound * perSample..<$0.upperBound * perSample }, rank: rank)
    }
    for x in [live, keys, betas] { gather(x.base, perSample: x.count / B, in: &forward) }
    gather(liveClasses, perSample: c.liveRowsPerSample, in: &forward)
    for x in [shuffledGradient, terms, scores] { gather(x.base, perSample: x.count / B, in: &aggregated) }
    gather(scores.base, perSample: C, in: &evaluated)
    (self.forward, self.aggregated, self.evaluated) = (forward, aggregated, evaluated)
  }

  /// What all ranks together have to tell one another in a step, if there are several.
  var bytes: Int {
    let floats = [live, keys, betas, shuffledGradient, terms, scores].reduce(0) { $0 + $1.count }
    return MemoryLayout<Float>.size * floats + MemoryLayout<Int32>.size * live.rows
  }

  /// Writes the classes of the live rows of a sample's label: C (2m + (0 where positive, 1 where negative)) + label.
  func classify(sample: Int, label: Int, isPositive: Bool, modalities M: Int) {
    let C = scores.columns
    for level in 0..<3 {
      for m in 0..<M {
        liveClasses[((sample * 3 + level) * M + m) * C + label] = Int32(C * (2 * m + (isPositive ? 0 : 1)) + label)
      }
    }
  }

  /// Writes a label's or a modality's part of a sample's share of a loss term.
  func setTerm(_ term: LossTerm, sample: Int, part: Int, _ value: Float) {
    terms[sample, term.index * termParts + part] = value
  }

  /// The parts of a sample's share of a loss term.
  func parts(of term: LossTerm, sample: Int) -> Matrix {
    terms.rows(sample..<sample + 1).columns(term.index * termParts..<(term.index + 1) * termParts)
  }
}
