import Foundation
import Parallel
import Synchronization
import Testing

@Suite struct BarrierTests {
  /// Plain, unsynchronised counters: only the barrier under test makes their reads well defined.
  struct Counters: @unchecked Sendable {
    let base: UnsafeMutablePointer<Int>
  }

  @Test(arguments: [1, 2, 3, 7, 16], [0, Barrier.hastySpins, Barrier.patientSpins])
  func everyRoundSeesEveryArrival(threads: Int, spins: Int) async {
    // Where threads share cores each patient round costs time slices.
    let rounds = spins == Barrier.patientSpins && threads > 2 ? 200 : 3000
    let barrier = Barrier(count: threads, spins: spins)
    let counters = Counters(base: .allocate(capacity: threads))
    counters.base.initialize(repeating: 0, count: threads)
    defer { counters.base.deallocate() }
    let errors = Atomic<Int>(0)
    let done = DispatchGroup()
    for thread in 0..<threads {
      done.enter()
      Thread {
        for round in 1...rounds {
          counters.base[thread] = round
          barrier.arrive()
          for other in 0..<threads where counters.base[other] != round {
            errors.wrappingAdd(1, ordering: .relaxed)
          }
          barrier.arrive()
        }
        done.leave()
      }.start()
    }
    await withCheckedContinuation { (finished: CheckedContinuation<Void, Never>) in
      done.notify(queue: .global()) { finished.resume() }
    }
    #expect(errors.load(ordering: .relaxed) == 0)
  }

  @Test func aLoneThreadNeverWaits() {
    let barrier = Barrier(count: 1)
    for _ in 0..<100_000 { barrier.arrive() }
    #expect(barrier.count == 1)
  }
}
