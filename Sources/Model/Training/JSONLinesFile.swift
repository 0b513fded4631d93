import Foundation

/// A file of JSON Lines: one record a line, each line written at once.
final class JSONLinesFile {
  private let path: String
  private let descriptor: Int32
  private let encoder = JSONEncoder()

  /// Starts an empty file.
  init(_ path: String) throws(DataError) {
    self.path = path
    descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Self.failure(path) }
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
  }

  deinit { close(descriptor) }

  func append(_ record: some Encodable) throws {
    try write(encoder.encode(record) + [UInt8(ascii: "\n")])
  }

  private func write(_ line: Data) throws(DataError) {
    var written = 0
    while written < line.count {
      let count = line.withUnsafeBytes {
        Foundation.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Self.failure(path) }
      written += count
    }
  }

  private static func failure(_ path: String) -> DataError {
    DataError(
      file: path, expected: "to write a record", found: String(cString: strerror(errno)),
      remedy: "free space or choose another --output")
  }
}
