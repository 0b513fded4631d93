import Parallel
import Tensor

/// The samples of a batch that one group of workers has, with everything that a step makes of them.
///
/// They go through the encoders in one or several micro-batches, one after the other, and through all else together. Its
/// memory lies on the group's node. Who writes what of it is dealt out anew in each phase; other groups see only what
/// is written to the exchange buffers. That, and the barriers between phases, is what makes sharing it safe.
final class BatchPart: Sendable {
  /// Places in the batch that it has room for.
  let samples: Range<Int>

  let heads: Heads.Activations
  let gradients: GradientRows
  let microBatches: [MicroBatch]

  /// - Parameters:
  ///   - samples: by their places in the batch.
  ///   - microBatches: how many there are; each has whole blocks of the batch, and may have none.
  ///   - workers: of the group.
  init(
    _ model: CARATModel, samples: Range<Int>, microBatches: Int = 1, workers: Int, exchange: Exchange, in arena: Arena
  ) throws {
    self.samples = samples
    let heads = try Heads.Activations(model, samples: samples, exchange: exchange, in: arena)
    (self.heads, gradients) = (
      heads, GradientRows(values: try arena.matrix(rows: samples.count, columns: model.layout.sampleCount))
    )
    let runs = (0..<microBatches).map {
      slice(of: samples.count, part: $0, parts: microBatches, alignment: BatchDivision.blockSize)
    }
    let memory = try MicroBatch.makeActivations(model, samples: runs.map(\.count).max() ?? 0, in: arena)
    self.microBatches = try runs.map {
      try MicroBatch(model, samples: $0, of: heads, sharing: memory, workers: workers, in: arena)
    }
  }

  /// Samples of the current batch; fewer than there is room for at the end of an evaluated split.
  var count: Int { microBatches.reduce(0) { $0 + $1.count } }

  /// Takes its samples' lengths out of the batch, and deals them to the group's workers.
  func begin(_ batch: Batch) {
    for microBatch in microBatches { microBatch.begin(batch) }
  }
}
