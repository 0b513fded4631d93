import Foundation
import Tensor

/// Files that at every moment, a power cut included, are the old ones or the new ones.
package enum DurableFile {
  /// What the names of unfinished files end in.
  package static let temporarySuffix = ".part"

  /// Whether a name is one that `write` gave to an unfinished file.
  package static func isTemporary(_ name: String) -> Bool {
    name.wholeMatch(of: /.+\.[0-9]+-[0-9a-f]+\.part/) != nil
  }

  /// Writes parts of a file, one behind the other: to a temporary name in the path's directory, syncs, renames, syncs the
  /// directory.
  ///
  /// - Throws: if any of it fails; the temporary is then removed and a file that was at the path is as before
  ///   (unless it was the directory's sync that failed: then the new file is in place, but perhaps not yet on disk).
  package static func write(_ parts: [UnsafeRawBufferPointer], to path: String) throws(DataError) {
    let path = try resolvedFile(path)
    let temporary = "\(path).\(getpid())-\(String(UInt32.random(in: 0 ... .max), radix: 16))\(temporarySuffix)"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw failure(.creation, path, "to create \(temporary)") }
    FaultInjection.reach(.create)
    do throws(DataError) {
      for part in parts { try write(part, to: descriptor, path: path) }
      guard fsync(descriptor) == 0 else { throw failure(.writing, path, "to sync \(temporary)") }
      FaultInjection.reach(.sync)
    } catch {
      close(descriptor)
      unlink(temporary)
      throw error
    }
    guard close(descriptor) == 0, rename(temporary, path) == 0 else {
      let error = failure(.creation, path, "to rename \(temporary) to it")
      unlink(temporary)
      throw error
    }
    FaultInjection.reach(.rename)
    try syncDirectory(of: path)
    FaultInjection.reach(.directory)
  }

  /// Writes a value as JSON that people read.
  package static func write(json value: some Encodable, to path: String) throws(DataError) {
    let text: Data
    do {
      text = try JSON.encoder(pretty: true).encode(value) + Data("\n".utf8)
    } catch {
      throw DataError(
        .writing, file: path, expected: "a value that JSON can hold", found: "\(error)", remedy: "report this")
    }
    try write(Array(text), to: path)
  }

  /// Writes bytes, and behind them other parts of a file.
  package static func write(_ bytes: [UInt8], _ rest: [UnsafeRawBufferPointer] = [], to path: String) throws(DataError)
  {
    try bytes.withUnsafeBufferPointer { (start) throws(DataError) in
      try write([UnsafeRawBufferPointer(start)] + rest, to: path)
    }
  }

  /// Removes a file that an earlier run left, if it is there.
  package static func remove(_ path: String) throws(DataError) {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw DataError(
        .creation, file: path, expected: "to remove what an earlier run left", found: MappedFile.systemError(),
        remedy: "choose another --output")
    }
  }

  /// Makes a directory, or takes the one that is there, so that it stays.
  package static func makeDirectory(_ path: String) throws(DataError) {
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
      throw DataError(
        .creation, file: path, expected: "to make this directory", found: MappedFile.systemError(),
        remedy: "check the permissions of the --output directory")
    }
    try syncDirectory(of: path)
  }

  /// Makes durable that a file of this path is there, or is there no longer.
  package static func syncDirectory(of path: String) throws(DataError) {
    let descriptor = open(parentDirectory(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(.writing, path, "to open its directory") }
    defer { close(descriptor) }
    // Some network file systems can't sync a directory and say EINVAL; nothing more can be done there.
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
      throw failure(.writing, path, "to sync its directory")
    }
  }

  private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws(DataError) {
    guard writeAll(bytes, to: descriptor, report: { FaultInjection.reach(.write, count: $0) }) else {
      throw failure(.writing, path, "to write \(bytes.count) bytes")
    }
  }

  private static func failure(_ kind: DataError.Kind, _ path: String, _ expected: String) -> DataError {
    DataError(
      kind, file: path, expected: expected, found: MappedFile.systemError(),
      remedy: "check that the directory exists and can be written, and the space left on it")
  }
}
