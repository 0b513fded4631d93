import Foundation

/// A file of JSON Lines: one record a line, each line written at once.
final class MetricsFile {
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
    var line = try encoder.encode(record)
    line.append(UInt8(ascii: "\n"))
    try line.withUnsafeBytes { bytes throws(DataError) in
      var rest = bytes[...]
      while !rest.isEmpty {
        let written = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
        if written < 0 && errno == EINTR { continue }
        guard written > 0 else { throw Self.failure(path) }
        rest = rest.dropFirst(written)
      }
    }
  }

  private static func failure(_ path: String) -> DataError {
    DataError(
      file: path, expected: "to write metrics", found: String(cString: strerror(errno)),
      remedy: "free space or choose another --output")
  }
}
