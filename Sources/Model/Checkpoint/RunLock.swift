import Files
import Foundation
import Parallel

/// Keeps a second run out of a directory. The kernel lets go of the lock when its holder ends, however it ends.
package final class RunLock: Sendable {
  private let descriptor: Int32

  /// What the file begins with.
  private static let start = "process "

  /// - Throws: `RunLocked` if another process has the lock, `DataError` if the lock's file can't be made.
  init(path: String, directory: String) throws {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw DataError(
        .creation, file: path, expected: "a lock file that can be made", found: MappedFile.systemError(),
        remedy: "choose another --output")
    }
    let isLocked = flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno == ENOTSUP || errno == ENOLCK
    var text = [UInt8](repeating: 0, count: 256)
    let count = max(0, read(descriptor, &text, text.count))
    let before = String(decoding: text.prefix(count), as: UTF8.self)
    guard isLocked else {
      let holder = before.trimmingCharacters(in: .whitespacesAndNewlines)
      close(descriptor)
      throw RunLocked(directory: directory, holder: holder.isEmpty ? "another process" : holder)
    }
    guard Self.isOwn(before) else {
      close(descriptor)
      throw DataError(
        .creation, file: path, expected: "no file, or a run's lock", found: "another file",
        remedy: "move it away, or choose another --output")
    }
    let holder = "\(Self.start)\(getpid()) on \(Host.name)\n"
    ftruncate(descriptor, 0)
    _ = holder.withCString { pwrite(descriptor, $0, strlen($0), 0) }
  }

  deinit { close(descriptor) }

  /// Whether a file is a lock's, or what a full disk or a power cut left of one: its beginning, or zeros.
  private static func isOwn(_ text: String) -> Bool {
    text.hasPrefix(start) || start.hasPrefix(text) || text.allSatisfy { $0 == "\0" }
  }
}

/// Another run writes to the same directory.
public struct RunLocked: Error, CustomStringConvertible, Sendable {
  public let directory: String
  public let holder: String

  public var description: String {
    "\(directory): expected a directory that no other run writes to, found one in use by \(holder); wait for its end "
      + "or choose another --output"
  }
}
