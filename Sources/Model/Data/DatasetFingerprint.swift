import Dispatch
import Files
import Foundation
import Synchronization

/// What identifies a data set's bytes, so that a resumed run continues with the same data.
package struct DatasetFingerprint: Codable, Sendable, Equatable {
  package struct File: Codable, Sendable, Equatable {
    /// Without its directory.
    package let name: String
    package let bytes: Int
    /// SHA-256 over the start, the end and 64 blocks in between: cheap, and finds another or a rewritten file.
    package let sample: String
    /// SHA-256 over the SHA-256s of the file's pieces of 64 MiB.
    package let whole: String
  }

  package let files: [File]

  /// Reads all files, on all cores.
  package init(files paths: [String]) throws(DataError) {
    var files: [File] = []
    for path in paths {
      let source = try Source(path)
      files.append(
        File(name: source.name, bytes: source.count, sample: try source.sample(), whole: try source.whole()))
    }
    self.files = files
  }

  /// Of a data set's three files.
  package init(of dataset: Dataset) throws(DataError) { try self.init(files: dataset.paths) }

  /// How a data set differs, one phrase a difference; empty if it does not.
  ///
  /// - Parameter whole: whether to read all bytes, or a sample of them.
  package func differences(from dataset: Dataset, whole: Bool) throws(DataError) -> [String] {
    var differences: [String] = []
    for (path, file) in zip(dataset.paths, files) { differences += try file.differences(from: path, whole: whole) }
    return differences
  }

  /// A file that is read without being mapped: what is cut short meanwhile is an error and no signal.
  fileprivate final class Source: Sendable {
    let path: String
    let count: Int
    private let descriptor: Int32

    var name: String { String(path.split(separator: "/").last ?? "") }

    static let blockSize = 1 << 12
    static let endSize = 1 << 16
    static let pieceSize = 64 << 20
    static let readSize = 1 << 20

    init(_ path: String) throws(DataError) {
      self.path = path
      descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
      var status = stat()
      guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
        let error = Self.unreadable(path)
        if descriptor >= 0 { close(descriptor) }
        throw error
      }
      count = Int(status.st_size)
    }

    deinit { close(descriptor) }

    func sample() throws(DataError) -> String {
      var hash = SHA256()
      hash.update(utf8: "\(count)\n")
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.endSize, alignment: 64)
      defer { buffer.deallocate() }
      let ends = [0, max(0, count - Self.endSize)].map { ($0, min(Self.endSize, count)) }
      let blocks = (1...64).map { (max(0, count - Self.blockSize) / 65 * $0, min(Self.blockSize, count)) }
      for (offset, size) in ends + blocks {
        try read(offset, size, buffer)
        hash.update(UnsafeRawBufferPointer(rebasing: buffer.prefix(size)))
      }
      return SHA256.hexadecimal(hash.finalize())
    }

    func whole() throws(DataError) -> String {
      let pieces = max(1, (count + Self.pieceSize - 1) / Self.pieceSize)
      let sums = Mutex([Result<[UInt8], DataError>](repeating: .success([]), count: pieces))
      DispatchQueue.concurrentPerform(iterations: pieces) { piece in
        let sum = Result { () throws(DataError) in try sumOfPiece(piece) }
        sums.withLock { $0[piece] = sum }
      }
      var hash = SHA256()
      for sum in sums.withLock({ $0 }) { try sum.get().withUnsafeBytes { hash.update($0) } }
      return SHA256.hexadecimal(hash.finalize())
    }

    private func sumOfPiece(_ piece: Int) throws(DataError) -> [UInt8] {
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.readSize, alignment: 64)
      defer { buffer.deallocate() }
      var hash = SHA256()
      let end = min(count, (piece + 1) * Self.pieceSize)
      for offset in stride(from: piece * Self.pieceSize, to: end, by: Self.readSize) {
        let size = min(Self.readSize, end - offset)
        try read(offset, size, buffer)
        hash.update(UnsafeRawBufferPointer(rebasing: buffer.prefix(size)))
      }
      return hash.finalize()
    }

    private func read(_ offset: Int, _ size: Int, _ buffer: UnsafeMutableRawBufferPointer) throws(DataError) {
      var done = 0
      while done < size {
        let count = pread(descriptor, buffer.baseAddress?.advanced(by: done), size - done, off_t(offset + done))
        if count < 0 && errno == EINTR { continue }
        if count < 0 { throw Self.unreadable(path) }
        guard count > 0 else {
          throw Self.unreadable(path, found: "its end after \(offset + done) of \(self.count) bytes")
        }
        done += count
      }
    }

    private static func unreadable(_ path: String, found: String = MappedFile.systemError()) -> DataError {
      DataError(
        file: path, expected: "a file that can be read to its end", found: found,
        remedy: "check the path and its permissions, and that nothing changes the file")
    }
  }
}

extension DatasetFingerprint.File {
  /// How the file at a path differs, one phrase a difference; empty if it does not.
  ///
  /// - Parameter whole: whether to read all bytes, or a sample of them.
  /// - Throws: if it can't be read.
  package func differences(from path: String, whole: Bool) throws(DataError) -> [String] {
    let source = try DatasetFingerprint.Source(path)
    var differences: [String] = []
    if source.name != name { differences.append("\(source.name) in the place of \(name)") }
    if source.count != bytes {
      differences.append("\(name) has \(source.count) bytes, had \(bytes)")
    } else if try source.sample() != sample {
      differences.append("\(name) has other bytes")
    } else if whole, try source.whole() != self.whole {
      differences.append("\(name) has other bytes")
    }
    return differences
  }
}

extension Dataset {
  /// The paths of the three files.
  var paths: [String] { [train.path, valid.path, test.path] }
}
