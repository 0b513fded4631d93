import Foundation
import Testing

@testable import Model

struct RunLockTests {
  @Test func oneAtATime() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.path)
    var first: RunLock? = try run.lock()
    let error = #expect(throws: RunLocked.self) { _ = try run.lock() }
    #expect(error?.description.contains("process \(getpid())") == true)
    withExtendedLifetime(first) {}
    first = nil
    #expect(throws: Never.self) { _ = try run.lock() }
  }
}
