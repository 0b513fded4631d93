import Parallel
import Tensor

/// One shard of a batch: a fixed run of samples, with everything that its forward pass leaves for backward.
///
/// Its memory belongs to the worker that handles it, on that worker's node; other workers see only what the shard
/// writes to the exchange buffers. That, and the barriers between phases, is what makes sharing it safe.
final class Shard: @unchecked Sendable {
  /// Position among all shards of the batch.
  let index: Int
  /// Position of its first sample in the batch.
  let first: Int
  /// Samples it has room for.
  let capacity: Int
  /// Samples of the current batch; fewer than there is room for at the end of an evaluated split.
  private(set) var count = 0

  let encoders: [Encoder.Activations]
  /// The current layer's rows in forward, their gradient in backward: [n T, D], one modality at a time.
  private let hiddenRows: Matrix
  private let reconstructionRows: [Reconstruction.Rows]
  /// Gradients of the reconstruction's rows; a shard that is trained on is full.
  let reconstructionGradient: [Reconstruction.Rows]
  private let mixWeightRows: [Matrix]
  private let unitRows: UnitLatents
  private let unitGradientRows: Matrix
  private let pooledRows: [PooledScores]
  let aggregation: Aggregation.Rows
  private let labels: Int
  private let modalities: Int

  /// Label-wise scores of one level: each modality's, [n C, M], the maxima [n, C] and the maxima's gradient [n, C].
  struct PooledScores {
    let each: Matrix
    let logits: Matrix
    let gradient: Matrix
  }

  init(_ model: CARAT, index: Int, samples: Range<Int>, exchange: Exchange, in arena: Arena) throws {
    let c = model.configuration
    let (n, C, M) = (samples.count, c.labels, c.modalities.count)
    self.index = index
    first = samples.lowerBound
    capacity = n
    labels = C
    modalities = M
    encoders = try c.modalities.indices.map { try Encoder.Activations(c, modality: $0, samples: n, in: arena) }
    hiddenRows = try arena.matrix(rows: n * c.longestSequence, columns: c.hiddenSize)
    reconstructionRows = try model.reconstruction.modalities.map {
      try Reconstruction.Rows($0, rows: n * C, in: arena)
    }
    reconstructionGradient = try model.reconstruction.modalities.map {
      try Reconstruction.Rows($0, rows: n * C, in: arena)
    }
    mixWeightRows = try c.modalities.map { _ in try arena.matrix(rows: n * C, columns: 2) }
    let perSample = c.liveRowsPerSample
    unitRows = UnitLatents(
      live: exchange.live.rows(first * perSample..<(first + n) * perSample),
      inverseLengths: try arena.matrix(rows: 1, columns: n * perSample),
      together: try arena.matrix(rows: n * C, columns: c.latentSize), modalities: M, labels: C)
    unitGradientRows = try arena.matrix(rows: n * perSample, columns: c.latentSize)
    pooledRows = try Reconstruction.Level.allCases.map { _ in
      PooledScores(
        each: try arena.matrix(rows: n * C, columns: M), logits: try arena.matrix(rows: n, columns: C),
        gradient: try arena.matrix(rows: n, columns: C))
    }
    aggregation = try Aggregation.Rows(model.aggregation, samples: n, in: arena)
  }

  /// Takes its samples' features and lengths out of the batch.
  func load(_ batch: Batch) {
    let found = max(0, min(capacity, batch.count - first))
    if found != count {
      count = found
      reconstruction = reconstructionRows.map { $0.first(found * labels) }
      mixWeights = mixWeightRows.map { $0.rows(0..<found * labels) }
    }
    for (m, encoder) in encoders.enumerated() { encoder.load(batch, first..<first + count, modality: m) }
  }

  // Views of the rows that the current batch fills.

  func hidden(_ modality: Int) -> Matrix { hiddenRows.rows(0..<encoders[modality].sequences.rowCount) }
  private(set) var reconstruction: [Reconstruction.Rows] = []
  private(set) var mixWeights: [Matrix] = []
  func plain(_ modality: Int) -> Matrix { reconstruction[modality].level(.plain) }
  func plainGradient(_ modality: Int) -> Matrix {
    reconstructionGradient[modality].first(count * labels).level(.plain)
  }
  var liveRows: Range<Int> { first * 3 * modalities * labels..<(first + count) * 3 * modalities * labels }
  var unit: UnitLatents {
    UnitLatents(
      live: unitRows.live.rows(0..<liveRows.count), inverseLengths: unitRows.inverseLengths,
      together: unitRows.together,
      modalities: modalities, labels: labels)
  }
  var unitGradient: Matrix { unitGradientRows.rows(0..<liveRows.count) }
  func pooled(_ level: Reconstruction.Level) -> PooledScores {
    let p = pooledRows[level.rawValue]
    return PooledScores(
      each: p.each.rows(0..<count * labels), logits: p.logits.rows(0..<count), gradient: p.gradient.rows(0..<count))
  }
}
