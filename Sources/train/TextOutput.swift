import Files
import Foundation
import Model
import Tensor

/// Text for the standard output, or for a file that appears whole or not at all.
///
/// A reader of the standard output that goes away, such as `head`, has what it wanted: what follows is dropped. All else
/// that keeps text from its place is an error.
final class TextOutput {
  private let path: String?
  /// Where a symbolic link leads that is at the path.
  private let place: String
  private let temporary: String?
  private var descriptor: Int32
  private var pending: [UInt8] = []
  private var isClosed = false

  private static let pendingLimit = 1 << 16

  /// - Parameter path: the file to write; nil for the standard output. A device or pipe is written as it is.
  /// - Throws: if there is no place for it, or one that text should not take: a data set's, weights', a run's.
  init(path: String? = nil) throws(DataError) {
    self.path = path
    guard let path else {
      (descriptor, place, temporary) = (STDOUT_FILENO, "", nil)
      return
    }
    var status = stat()
    let isSpecial = stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
    place = isSpecial ? path : try resolvedFile(path)
    if RunDirectory.isFileOfData(place) {
      throw DataError(
        .creation, file: path, expected: "a place for text",
        found: "a file of a data set or a run, which would be lost", remedy: "choose another place")
    }
    temporary = isSpecial ? nil : "\(place).\(getpid()).part"
    let flags = isSpecial ? O_WRONLY | O_CLOEXEC : O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
    descriptor = open(temporary ?? path, flags, 0o666)
    guard descriptor >= 0 else { throw Self.failure(.creation, path) }
  }

  deinit {
    if path != nil && descriptor >= 0 { close(descriptor) }
    if let temporary, descriptor >= 0 { unlink(temporary) }
  }

  func write(_ text: String) throws(DataError) {
    pending.append(contentsOf: text.utf8)
    if pending.count >= Self.pendingLimit { try flush() }
  }

  func flush() throws(DataError) {
    if !isClosed, !pending.withUnsafeBytes({ writeAll($0, to: descriptor) }) {
      guard errno == EPIPE, path == nil else { throw Self.failure(.writing, path ?? "standard output") }
      isClosed = true
    }
    pending.removeAll(keepingCapacity: true)
  }

  /// Writes what is pending and puts the file in its place.
  func finish() throws(DataError) {
    try flush()
    guard let path else { return }
    let isClosed = close(descriptor) == 0
    descriptor = -1
    guard isClosed, temporary.map({ rename($0, place) == 0 }) ?? true else {
      let error = Self.failure(.writing, path)
      if let temporary { unlink(temporary) }
      throw error
    }
  }

  private static func failure(_ kind: DataError.Kind, _ path: String) -> DataError {
    DataError(
      kind, file: path, expected: "a place that can be written", found: String(cString: strerror(errno)),
      remedy: "choose another place, or free space")
  }
}

/// Prints a line for a person on the standard output.
func say(_ text: String) throws(DataError) { try printOut(oneLine(text)) }

/// Prints a value as one line of JSON on the standard output.
func printJSON(_ value: some Encodable) throws {
  // The same value: in a string of JSON any character may be written by its number.
  try printOut(
    oneLine(JSON.line(value)) { scalar in
      scalar.utf16.map { String(format: "\\u%04x", $0) }.joined()
    })
}

/// Prints text that has been made fit to be seen.
func printOut(_ text: String) throws(DataError) {
  let output = try TextOutput()
  try output.write(text + "\n")
  try output.flush()
}

/// A number with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

/// Cells in columns, to the right.
func aligned(_ rows: [[String]]) -> [String] {
  let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  return rows.map { row in
    zip(row, widths).map { cell, width in String(repeating: " ", count: width - cell.count) + cell }
      .joined(separator: "  ")
  }
}
