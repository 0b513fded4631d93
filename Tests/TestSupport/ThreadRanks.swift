import Foundation
import Parallel
import Synchronization

/// Ranks that are threads of one process: each has a communicator, and messages are copies in memory.
package final class ThreadRanks: Sendable {
  package let size: Int
  private let barrier: Barrier
  /// What each rank has started since the last exchange.
  private let posted: Mutex<[[Messages]]>

  package init(_ size: Int) {
    self.size = size
    barrier = Barrier(count: size, spins: Barrier.hastySpins)
    posted = Mutex(Array(repeating: [], count: size))
  }

  /// Runs `body` on a thread for each rank, with its communicator; the results in the order of the ranks.
  package static func run<T: Sendable>(
    _ size: Int, _ body: @escaping @Sendable (any Communicator) throws -> T
  ) throws -> [T] {
    let ranks = ThreadRanks(size)
    let results = Mutex<[Int: Result<T, any Error>]>([:])
    let done = DispatchGroup()
    for rank in 0..<size {
      done.enter()
      Thread {
        let result = Result { try body(Member(ranks, rank: rank)) }
        results.withLock { $0[rank] = result }
        done.leave()
      }.start()
    }
    done.wait()
    return try results.withLock { results in try (0..<size).compactMap { try results[$0]?.get() } }
  }

  private final class Member: Communicator {
    let ranks: ThreadRanks
    let rank: Int
    var size: Int { ranks.size }

    init(_ ranks: ThreadRanks, rank: Int) {
      self.ranks = ranks
      self.rank = rank
    }

    func start(_ messages: Messages) { ranks.posted.withLock { $0[rank].append(messages) } }

    func progress() {}

    func finish() {
      ranks.barrier.arrive()
      let posted = ranks.posted.withLock { $0 }
      for (k, messages) in posted[rank].enumerated() {
        for peer in 0..<size where peer != rank {
          let incoming = messages.receives.filter { $0.peer == peer }
          let outgoing = posted[peer][k].sends.filter { $0.peer == rank }
          precondition(
            incoming.map(\.bytes.count) == outgoing.map(\.bytes.count),
            "rank \(rank) expects \(incoming.map(\.bytes.count)) bytes of rank \(peer), which sends "
              + "\(outgoing.map(\.bytes.count))")
          for (target, source) in zip(incoming, outgoing) {
            target.bytes.copyMemory(from: UnsafeRawBufferPointer(source.bytes))
          }
        }
      }
      ranks.barrier.arrive()
      ranks.posted.withLock { $0[rank] = [] }
      // Nobody starts the next exchange before all have forgotten this one.
      ranks.barrier.arrive()
    }
  }
}
