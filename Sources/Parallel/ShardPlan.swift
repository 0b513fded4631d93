/// How a batch is cut into S equal shards and the shards are dealt to W workers.
///
/// S belongs to the configuration and bounds the useful parallelism; W belongs to the machine. The result of a
/// step depends on S and never on W.
public struct ShardPlan: Sendable, Equatable {
  /// Samples of a batch, B.
  public let batchSize: Int
  /// Shards of a batch, S.
  public let shards: Int
  /// Workers, W, over all processes.
  public let workers: Int

  /// Throws if the shards do not divide the batch.
  public init(batchSize: Int, shards: Int, workers: Int) throws(ShardPlanError) {
    precondition(batchSize > 0 && workers > 0, "a batch of \(batchSize) samples for \(workers) workers")
    guard shards > 0, batchSize % shards == 0 else { throw ShardPlanError(batchSize: batchSize, shards: shards) }
    self.batchSize = batchSize
    self.shards = shards
    self.workers = workers
  }

  /// Shards for a batch, whatever the machine: as many as divide it, at most 32, with at least 120 rows (time steps of
  /// all their samples) each, but four where the batch allows it. More cost time on few workers, fewer leave many
  /// workers idle.
  ///
  /// - Parameter steps: time steps of a sample, of the longest modality.
  public static func defaultShards(batchSize: Int, steps: Int) -> Int {
    precondition(batchSize > 0 && steps > 0, "a batch of \(batchSize) samples of \(steps) steps")
    let most = min(32, max(4, batchSize * steps / 120))
    return (1...most).last { batchSize % $0 == 0 } ?? 1
  }

  /// Samples of every shard, B / S.
  public var shardSize: Int { batchSize / shards }

  /// The samples of a shard, by their place in the batch.
  public func samples(ofShard shard: Int) -> Range<Int> {
    precondition(shard >= 0 && shard < shards, "shard \(shard) of \(shards)")
    return shard * shardSize..<(shard + 1) * shardSize
  }

  /// A worker's shards: contiguous runs whose lengths differ by at most one. With W > S some are empty, evenly
  /// among the workers, so that no node has all the idle ones.
  public func shards(ofWorker worker: Int) -> Range<Int> {
    slice(of: shards, part: worker, parts: workers, alignment: 1)
  }

  /// The samples of a run of shards, by their places in the batch.
  public func samples(ofShards run: Range<Int>) -> Range<Int> {
    run.lowerBound * shardSize..<run.upperBound * shardSize
  }

  /// The worker that has a shard.
  public func worker(ofShard shard: Int) -> Int {
    precondition(shard >= 0 && shard < shards, "shard \(shard) of \(shards)")
    // The least w with (w + 1) · S / W ≥ shard + 1.
    return ((shard + 1) * workers - 1) / shards
  }
}

/// A number of shards that does not divide the batch.
public struct ShardPlanError: Error, Equatable, CustomStringConvertible {
  public let batchSize: Int
  public let shards: Int

  /// The nearest numbers of shards that divide the batch: below, if there is one, and above, if there is one.
  public var nearest: [Int] {
    let below = (1..<max(1, min(shards, batchSize + 1))).last { batchSize % $0 == 0 }
    let above = shards < batchSize ? (max(1, shards + 1)...batchSize).first { batchSize % $0 == 0 } : nil
    return [below, above].compactMap(\.self)
  }

  public var description: String {
    let numbers = nearest.map(String.init).joined(separator: " or ")
    return "\(shards) shards do not divide a batch of \(batchSize) samples equally: use \(numbers)"
  }
}

/// Part `part` of `parts` of 0..<`count`: contiguous, of nearly equal length, in order, covering everything.
///
/// Inner limits are multiples of `alignment`, so that parts of a flat buffer share no cache line (16 floats). Parts
/// are empty where there are more of them than aligned units.
public func slice(of count: Int, part: Int, parts: Int, alignment: Int) -> Range<Int> {
  precondition(count >= 0 && alignment > 0, "\(count) elements aligned to \(alignment)")
  precondition(part >= 0 && part < parts, "part \(part) of \(parts)")
  let units = (count + alignment - 1) / alignment
  let (start, end) = (part * units / parts * alignment, (part + 1) * units / parts * alignment)
  return min(start, count)..<min(end, count)
}
