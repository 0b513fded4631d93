import Foundation
import Tensor

/// A log that grows at its end: opened, written, cut and synced, each with an error that names it.
package final class AppendedFile: Sendable {
  package let path: String
  private let descriptor: Int32

  /// - Parameters:
  ///   - isNew: whether it must not be there yet.
  ///   - contents: what it is for, in words.
  /// - Throws: if it can't be opened or made.
  package init(_ path: String, isNew: Bool = false, for contents: String) throws(DataError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (isNew ? O_EXCL : 0), 0o666)
    guard descriptor >= 0 else { throw failure(.creation, "to \(isNew ? "create" : "open") it for \(contents)") }
  }

  deinit { close(descriptor) }

  /// Bytes that it has.
  package func size() throws(DataError) -> Int {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(.writing, "to know its length") }
    return Int(status.st_size)
  }

  /// Keeps its first bytes only.
  package func cut(to bytes: Int) throws(DataError) {
    guard ftruncate(descriptor, off_t(bytes)) == 0 else { throw failure(.writing, "to cut it to \(bytes) bytes") }
  }

  /// - Parameter what: the bytes, in words.
  package func append(_ bytes: Data, _ what: String) throws(DataError) {
    guard bytes.withUnsafeBytes({ writeAll($0, to: descriptor) }) else { throw failure(.writing, "to write \(what)") }
  }

  /// Puts all that was appended on disk; may be called in the background.
  package func sync() throws(DataError) {
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure(.writing, "to sync it") }
  }

  private func failure(_ kind: DataError.Kind, _ expected: String) -> DataError {
    DataError(
      kind, file: path, expected: expected, found: MappedFile.systemError(),
      remedy: "free space or choose another --output")
  }
}
