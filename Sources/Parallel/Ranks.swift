/// The ranks with their workers, numbered through: rank 0's workers first, then rank 1's, and so on.
///
/// Slices are dealt to all workers by these numbers, so ranks may have different numbers of workers, and each rank's part
/// of anything is one contiguous run.
package struct Ranks: Sendable {
  package let communicator: any Communicator
  /// Each rank's workers, by their numbers among all.
  package let workers: [Range<Int>]
  /// How many workers each of each rank's groups has, those that have memory in common.
  package let groups: [[Int]]

  /// Asks every rank for its groups of workers.
  package init(_ communicator: any Communicator, groups own: [Int]) {
    self.communicator = communicator
    groups = communicator.gather(own.map(String.init).joined(separator: ",")).map { text in
      text.split(separator: ",").compactMap { Int($0) }
    }
    var next = 0
    workers = groups.map { groups in
      let count = groups.reduce(0, +)
      next += count
      return next - count..<next
    }
  }

  private init(_ communicator: any Communicator, of ranks: Ranks) {
    self.communicator = communicator
    (workers, groups) = (ranks.workers, ranks.groups)
  }

  /// The same ranks, but each process is the one after its own, the last one the first; nil where it has no workers for that:
  /// there is one rank, or they have not all as many in as many groups.
  package var next: Ranks? {
    guard size > 1, Set(groups).count == 1 else { return nil }
    return Ranks(ShiftedCommunicator(communicator, by: 1), of: self)
  }

  /// This process's rank.
  package var rank: Int { communicator.rank }
  /// Number of ranks, R.
  package var size: Int { workers.count }
  /// Number of workers of all ranks.
  package var workerCount: Int { workers.last?.upperBound ?? 0 }
  /// The numbers of this rank's workers among all.
  package var own: Range<Int> { workers[rank] }
  /// The number among all of one of this rank's workers.
  package func number(ofWorker worker: Int) -> Int { own.lowerBound + worker }

  /// What `part` gives all workers of each rank together, where it gives each worker a run that follows the one before.
  package func parts(_ part: (_ worker: Int) -> Range<Int>) -> [Range<Int>] {
    workers.map { part($0.lowerBound).lowerBound..<part($0.upperBound - 1).upperBound }
  }

  /// What each of a rank's groups has of what is listed group by group, those of all ranks.
  package func ofGroups<T>(_ all: [T], rank: Int) -> ArraySlice<T> {
    let first = groups[..<rank].reduce(0) { $0 + $1.count }
    return all[first..<first + groups[rank].count]
  }
}
