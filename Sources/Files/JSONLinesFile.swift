import Foundation
import Tensor

/// A file of JSON Lines: one record a line, each line written at once.
package final class JSONLinesFile {
  /// Where the records are, to be synced.
  package let file: AppendedFile
  private let encoder = JSON.encoder()
  /// Bytes of the file.
  package private(set) var length = 0

  /// What was found of the records that were to be kept, in words; nil if they are there.
  package private(set) var lack: String?

  /// Starts an empty file.
  package convenience init(_ path: String) throws(DataError) { try self.init(path, keeping: 0, upTo: 0) }

  /// Continues behind the first `length` bytes of a file, whose last record is of the step before. A file that is cut
  /// short, lost, or another than it was continues behind its records of steps up to that one, as far as they are in order;
  /// `lack` then tells it.
  ///
  /// - Parameter event: whose records stay also where they come later.
  /// - Throws: if it can't be opened, read or cut.
  package init(_ path: String, keeping length: Int, upTo step: Int, andAll event: String? = nil) throws(DataError) {
    file = try AppendedFile(path, for: "records")
    let size = try file.size()
    let kept = try Self.recordsToKeep(of: path, size: size, length: length, step: step)
    if kept.bytes < length || kept.isOther {
      let found = size == 0 ? "none" : "\(size) bytes, \(kept.bytes) of them such records"
      lack = "\(path): expected \(length) bytes of records up to step \(step), found \(found)"
    }
    let later = try event.map { event throws(DataError) in
      try Self.records(of: event, in: path, from: kept.bytes, to: size)
    }
    try file.cut(to: kept.bytes)
    self.length = kept.bytes
    if let later, !later.isEmpty {
      try file.append(later, "records that stay")
      self.length += later.count
    }
  }

  /// The lines of an event's records behind the first `start` bytes.
  private static func records(of event: String, in path: String, from start: Int, to size: Int) throws(DataError)
    -> Data
  {
    guard start < size else { return Data() }
    let file = try MappedFile(path: path, minimum: 1, kind: "log")
    let newline = UInt8(ascii: "\n")
    var (lines, next) = (Data(), start)
    while let end = file.bytes[next...].firstIndex(of: newline) {
      let line = Data(file.bytes[next..<end])
      if (try? JSON.decoder().decode(Line.self, from: line))?.event == event { lines += line + [newline] }
      next = end + 1
    }
    return lines
  }

  /// What every record has; an event in `metrics.jsonl` only.
  private struct Line: Decodable {
    let step: Int
    let event: String?
  }

  private static func recordsToKeep(of path: String, size: Int, length: Int, step: Int) throws(DataError)
    -> (bytes: Int, isOther: Bool)
  {
    if length == 0 || size == 0 { return (0, length > 0) }
    let file = try MappedFile(path: path, minimum: 1, kind: "log")
    func record(_ line: Slice<UnsafeRawBufferPointer>) -> Line? {
      try? JSON.decoder().decode(Line.self, from: Data(line))
    }
    let newline = UInt8(ascii: "\n")
    if size >= length, file.bytes[length - 1] == newline {
      let start = file.bytes[..<(length - 1)].lastIndex(of: newline).map { $0 + 1 } ?? 0
      // A step that was not finite ends a run, and was not taken.
      if let last = record(file.bytes[start..<length]), last.step <= (last.event == "nonfinite" ? step + 1 : step) {
        return (length, false)
      }
    }
    var kept = 0
    while let end = file.bytes[kept...].firstIndex(of: newline), let own = record(file.bytes[kept..<end]),
      own.step <= step
    {
      kept = end + 1
    }
    return (kept, true)
  }

  package func append(_ record: some Encodable) throws {
    let line = try encoder.encode(record) + [UInt8(ascii: "\n")]
    try file.append(line, "a record")
    length += line.count
    FaultInjection.reach(.record)
  }

  /// Puts all records on disk.
  package func sync() throws(DataError) { try file.sync() }
}
