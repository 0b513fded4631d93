import Foundation
import Tensor

/// A file of JSON Lines: one record a line, each line written at once.
final class JSONLinesFile {
  private let path: String
  private let descriptor: Int32
  private let encoder = JSON.encoder()
  /// Bytes of the file.
  private(set) var length = 0

  /// Starts an empty file, or goes on behind the first `length` bytes of one.
  ///
  /// - Throws: if it can't be opened; also if it is shorter than that, for then records are lost.
  init(_ path: String, keeping length: Int = 0) throws(DataError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(.creation, "to open it for records") }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size >= length else {
      throw DataError(
        file: path, expected: "at least the \(length) bytes that it had at the checkpoint", found: "\(status.st_size)",
        remedy: "put the file back, or choose an older checkpoint by removing the newer ones")
    }
    guard ftruncate(descriptor, off_t(length)) == 0 else { throw failure(.writing, "to cut it to \(length) bytes") }
    self.length = length
  }

  deinit { close(descriptor) }

  func append(_ record: some Encodable) throws {
    try write(encoder.encode(record) + [UInt8(ascii: "\n")])
    FaultInjection.reach(.record)
  }

  /// Puts all records on disk.
  func sync() throws(DataError) {
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw failure(.writing, "to sync it") }
  }

  private func write(_ line: Data) throws(DataError) {
    guard line.withUnsafeBytes({ writeAll($0, to: descriptor) }) else { throw failure(.writing, "to write a record") }
    length += line.count
  }

  private func failure(_ kind: DataError.Kind, _ expected: String) -> DataError {
    DataError(
      kind, file: path, expected: expected, found: MappedFile.systemError(),
      remedy: "free space or choose another --output")
  }
}
