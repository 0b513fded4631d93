import CFlushToZero
import Foundation
import Synchronization
import Testing

@testable import Parallel

@Suite struct FloatingPointEnvironmentTests {
  /// Behind a lock, so that the compiler does not halve it beforehand, nor once for all.
  private static let smallest = Mutex(Float.leastNormalMagnitude)

  private static var keepsDenormals: Bool { smallest.withLock { $0 / 2 } > 0 }

  /// Whatever a library did to the thread that starts a team: workers keep denormal numbers, and leave the threads of
  /// Dispatch as they were.
  @Test func workersKeepDenormals() {
    let flushed = Atomic<Bool>(false)
    let kept = Atomic<Int>(0)
    let isDone = DispatchSemaphore(value: 0)
    let thread = Thread {
      flush_denormals_to_zero()
      flushed.store(!Self.keepsDenormals, ordering: .relaxed)
      let team = WorkerTeamTests.team(3)
      team.run { _ in if Self.keepsDenormals { kept.wrappingAdd(1, ordering: .relaxed) } }
      isDone.signal()
    }
    thread.start()
    isDone.wait()
    let wasFlushed = flushed.load(ordering: .relaxed)
    #expect(wasFlushed, "this machine can't flush denormal numbers, or the test does not")
    let count = kept.load(ordering: .relaxed)
    #expect(count == 3)
  }

  @Test func isPutBack() {
    let isDone = DispatchSemaphore(value: 0)
    let found = Mutex<[Bool]>([])
    let thread = Thread {
      flush_denormals_to_zero()
      let before = FloatingPointEnvironment.useDefault()
      found.withLock { $0.append(Self.keepsDenormals) }
      before.restore()
      found.withLock { $0.append(Self.keepsDenormals) }
      isDone.signal()
    }
    thread.start()
    isDone.wait()
    #expect(found.withLock { $0 } == [true, false])
  }
}
