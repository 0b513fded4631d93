import Synchronization
import Tensor

/// Holds threads until a fixed number of them has arrived, again and again.
///
/// What any thread wrote before it arrived is visible to every thread after. Nothing is allocated.
package final class Barrier: Sendable {
  /// Threads that meet here.
  package let count: Int
  private let spins: Int
  private let arrived = PaddedAtomic()
  private let generation = Generation()

  /// - Parameters:
  ///   - count: threads that meet.
  ///   - spins: looks at the barrier before a thread goes to sleep.
  package init(count: Int, spins: Int = Barrier.patientSpins) {
    precondition(count > 0 && spins >= 0, "a barrier of \(count) threads with \(spins) spins")
    self.count = count
    self.spins = spins
  }

  /// Some 100 µs, several times what a sleeping thread needs to wake: for threads with a core each.
  package static let patientSpins = 4096
  /// Hardly any: for threads that share a core with the one they wait for.
  package static let hastySpins = 16

  /// Waits for the others.
  @inlinable package func arrive() {
    if count > 1 { meet() }
  }

  @usableFromInline func meet() {
    // It cannot change before this thread has arrived.
    let now = generation.current
    // Each arrival releases its writes to the last, and the last one's advance releases them all.
    if arrived.value.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue == count {
      // Before the advance, so that the first of the next round finds it.
      arrived.value.store(0, ordering: .relaxed)
      generation.advance()
    } else {
      generation.wait(past: now, spins: spins)
    }
  }
}
