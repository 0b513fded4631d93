import Glibc

/// Emulation of many cores by few: within a phase one worker at a time works, in their order, once all are at it and asleep.
///
/// What each takes is what it would take on a core of its own, but for what cores share: memory's bandwidth, links, clocks.
/// A strict order disturbs least: of a lock, wake-ups of those that wait disturb whoever holds it.
package final class Turns: @unchecked Sendable {
  // Proof of Sendable: everything is behind the mutex, or touched while no worker works.

  private let count: Int
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  /// One a worker, so that only the next one wakes.
  private let conditions: UnsafeMutablePointer<pthread_cond_t>
  private var ready = 0
  private var turn = -1
  /// What each worker took, phase by phase in the order of a step.
  package private(set) var phases: [Phase] = []
  private var next: [Int]

  /// Seconds of one phase.
  package struct Phase: Sendable {
    package let name: String
    /// Each worker's.
    package var seconds: [Double]
  }

  package init(_ count: Int) {
    self.count = count
    next = Array(repeating: 0, count: count)
    conditions = .allocate(capacity: count)
    pthread_mutex_init(mutex, nil)
    for i in 0..<count { pthread_cond_init(conditions + i, nil) }
  }

  deinit {
    for i in 0..<count { pthread_cond_destroy(conditions + i) }
    pthread_mutex_destroy(mutex)
    conditions.deallocate()
    mutex.deallocate()
  }

  /// Forgets all phases, before a step.
  package func begin() {
    phases = []
    next = Array(repeating: 0, count: count)
  }

  /// Does what one thread does while no worker works.
  package func alone<T>(_ name: String, _ work: () -> T) -> T {
    let start = ContinuousClock.now
    let value = work()
    phases.append(Phase(name: name, seconds: [(ContinuousClock.now - start) / .seconds(1)]))
    next = next.map { $0 + 1 }
    return value
  }

  /// Waits for a worker's turn and does its work. Every worker has to call it equally often, with a barrier after.
  package func take(_ worker: Int, _ name: String, _ work: () -> Void) {
    pthread_mutex_lock(mutex)
    ready += 1
    if ready == count {
      turn = 0
      pthread_cond_signal(conditions)
    }
    while turn != worker { pthread_cond_wait(conditions + worker, mutex) }
    pthread_mutex_unlock(mutex)
    let start = ContinuousClock.now
    work()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    pthread_mutex_lock(mutex)
    if next[worker] == phases.count { phases.append(Phase(name: name, seconds: Array(repeating: 0, count: count))) }
    phases[next[worker]].seconds[worker] = seconds
    next[worker] += 1
    if worker + 1 == count { (ready, turn) = (0, -1) } else { turn = worker + 1 }
    let following = turn
    pthread_mutex_unlock(mutex)
    if following > 0 { pthread_cond_signal(conditions + following) }
  }
}
