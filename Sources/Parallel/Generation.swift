import Glibc
import Synchronization
import Tensor

/// An atomic integer with its cache line, and the neighbour that the prefetcher pairs with it, to itself.
struct PaddedAtomic: ~Copyable {
  let value = Atomic<Int>(0)
  private let padding: (Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int, Int) =
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

/// A counter whose advance threads await, spinning first and then asleep.
///
/// What a thread wrote before `advance` is visible to those that `wait` lets through.
final class Generation: @unchecked Sendable {
  // Proof of Sendable: stored properties are constant, counters atomic, and the mutex and condition behind the pointers are made
  // for several threads.

  private let number = PaddedAtomic()
  private let sleepers = PaddedAtomic()
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  init() {
    mutex.initialize(to: pthread_mutex_t())
    condition.initialize(to: pthread_cond_t())
    let status = (pthread_mutex_init(mutex, nil), pthread_cond_init(condition, nil))
    precondition(status == (0, 0), "a mutex and a condition cannot be made: errors \(status)")
  }

  deinit {
    pthread_cond_destroy(condition)
    pthread_mutex_destroy(mutex)
    condition.deallocate()
    mutex.deallocate()
  }

  /// The generation now.
  var current: Int { number.value.load(ordering: .acquiring) }

  /// Begins the next generation and wakes who waits for it.
  func advance() {
    // Sequentially consistent here and in `wait`: either this thread sees the sleeper, or the sleeper, which has
    // announced itself before it looks, sees the new number. So nobody sleeps through it, and where nobody
    // sleeps there is no lock to take.
    number.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
    guard sleepers.value.load(ordering: .sequentiallyConsistent) > 0 else { return }
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(condition)
    pthread_mutex_unlock(mutex)
  }

  /// Returns when the generation is no longer `old`: after at most `spins` looks, asleep from then on.
  func wait(past old: Int, spins: Int) {
    for _ in 0..<spins {
      if number.value.load(ordering: .acquiring) != old { return }
      spinHint()
    }
    pthread_mutex_lock(mutex)
    sleepers.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
    while number.value.load(ordering: .sequentiallyConsistent) == old { pthread_cond_wait(condition, mutex) }
    sleepers.value.wrappingSubtract(1, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }
}
