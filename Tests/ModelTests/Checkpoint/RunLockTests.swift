import Files
import Foundation
import TestSupport
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

  @Test func anotherFileIsNoLock() throws {
    let directory = try TemporaryDirectory()
    try Data("dependencies\n".utf8).write(to: URL(fileURLWithPath: directory.file("lock")))
    let error = #expect(throws: DataError.self) { _ = try RunDirectory(directory.path).lock() }
    #expect(error?.kind == .creation)
    #expect(try String(contentsOfFile: directory.file("lock"), encoding: .utf8) == "dependencies\n")
  }

  /// A full disk leaves a part of what the file was to have, a power cut zeros.
  @Test(arguments: ["", "pro", "process 12", "\0\0\0\0"])
  func whatIsLeftOfALockIsNoOtherFile(left: String) throws {
    let directory = try TemporaryDirectory()
    try Data(left.utf8).write(to: URL(fileURLWithPath: directory.file("lock")))
    let lock = try RunDirectory(directory.path).lock()
    withExtendedLifetime(lock) {}
    let text = try String(contentsOfFile: directory.file("lock"), encoding: .utf8)
    #expect(text.hasPrefix("process \(getpid()) on "))
  }
}
