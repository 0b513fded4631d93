/// The ranks with their workers, numbered through: rank 0's workers first, then rank 1's, and so on.
///
/// Shards and slices are dealt to all workers by these numbers, so ranks may have different numbers of workers, and
/// each rank's part of anything is one contiguous run.
public struct Ranks: Sendable {
  public let communicator: any Communicator
  /// Each rank's workers, by their numbers among all.
  public let workers: [Range<Int>]

  /// Asks every rank for its number of workers.
  public init(_ communicator: any Communicator, workers count: Int) {
    self.communicator = communicator
    var next = 0
    workers = communicator.gather(count).map { count in
      next += count
      return next - count..<next
    }
  }

  /// This process's rank.
  public var rank: Int { communicator.rank }
  /// Number of ranks, R.
  public var size: Int { workers.count }
  /// Number of workers of all ranks.
  public var workerCount: Int { workers.last?.upperBound ?? 0 }
  /// The numbers of this rank's workers among all.
  public var own: Range<Int> { workers[rank] }
  /// The number among all of one of this rank's workers.
  public func number(ofWorker worker: Int) -> Int { own.lowerBound + worker }

  /// What `part` gives all workers of each rank together, where it gives each worker a run that follows the one before.
  public func parts(_ part: (_ worker: Int) -> Range<Int>) -> [Range<Int>] {
    workers.map { part($0.lowerBound).lowerBound..<part($0.upperBound - 1).upperBound }
  }
}
