import Foundation

/// The element types of a safetensors file, by the name it gives them.
package enum SafetensorsElement: String, Sendable, CaseIterable {
  case float64 = "F64"
  case float32 = "F32"
  case float16 = "F16"
  case bfloat16 = "BF16"
  case float8e4m3 = "F8_E4M3"
  case float8e5m2 = "F8_E5M2"
  case int64 = "I64"
  case int32 = "I32"
  case int16 = "I16"
  case int8 = "I8"
  case uint64 = "U64"
  case uint32 = "U32"
  case uint16 = "U16"
  case uint8 = "U8"
  case bool = "BOOL"

  /// Bytes an element takes.
  package var size: Int {
    switch self {
    case .float64, .int64, .uint64: 8
    case .float32, .int32, .uint32: 4
    case .float16, .bfloat16, .int16, .uint16: 2
    case .float8e4m3, .float8e5m2, .int8, .uint8, .bool: 1
    }
  }

  /// Bytes of a tensor; nil where a dimension is negative or no machine could hold it.
  func bytes(ofShape shape: [Int]) -> Int? {
    var bytes = size
    for dimension in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
      if dimension < 0 || overflow { return nil }
      bytes = product
    }
    return bytes
  }
}

/// A tensor's place in a mapped file; the bytes lie inside it and have exactly the size of the shape.
struct TensorEntry: Sendable {
  let name: String
  let element: SafetensorsElement
  let shape: [Int]
  /// Where the data lies, counted from the start of the file.
  let bytes: Range<Int>

  var count: Int { bytes.count / element.size }
}

/// The parsed and checked header of a safetensors file: 8 bytes of little-endian length, then JSON of that length.
///
/// A header may come from anybody. After a successful parse every entry's bytes lie inside the file, have exactly the
/// size of the shape, and together they tile the data section: no two overlap and nothing lies between.
package struct SafetensorsHeader {
  package static let kind = "safetensors file"
  /// The greatest length of the JSON; the format allows 100 MB, of which a parser would make gigabytes.
  static let maximumLength = 1 << 24

  /// Bytes before the data.
  let length: Int
  let metadata: [String: String]
  /// In the order of their data.
  let entries: [TensorEntry]

  /// Parses the header at the start of `bytes`, the whole file; `file` is its path, for messages.
  init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(DataError) {
    let length = try Self.length(bytes, file: file)
    let text = UnsafeRawBufferPointer(rebasing: bytes[8..<8 + length])
    let json = try Self.decode(text, file: file)
    self.length = 8 + length
    metadata = json.metadata
    var entries: [TensorEntry] = []
    entries.reserveCapacity(json.entries.count)
    for (name, raw) in json.entries {
      entries.append(try Self.check(raw, name: name, data: 8 + length..<bytes.count, file: file))
    }
    entries.sort {
      ($0.bytes.lowerBound, $0.bytes.upperBound, $0.name) < ($1.bytes.lowerBound, $1.bytes.upperBound, $1.name)
    }
    self.entries = entries
    var end = 8 + length
    for entry in entries {
      guard entry.bytes.lowerBound == end else {
        throw Self.damaged(
          file, expected: "tensor '\(entry.name)' to start at byte \(end), where the one before it ends",
          found: "byte \(entry.bytes.lowerBound)")
      }
      end = entry.bytes.upperBound
    }
    guard end == bytes.count else {
      throw Self.damaged(
        file, expected: "tensors up to the file's end at byte \(bytes.count)", found: "the last end at \(end)")
    }
  }

  private static func length(_ bytes: UnsafeRawBufferPointer, file: String) throws(DataError) -> Int {
    guard bytes.count >= 8 else {
      throw damaged(file, expected: "8 bytes of header length", found: "\(bytes.count) bytes")
    }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    let limit = min(maximumLength, bytes.count - 8)
    guard length >= 2, length <= UInt64(limit) else {
      throw damaged(file, expected: "a header of 2 to \(limit) bytes", found: "a header length of \(length)")
    }
    guard bytes[8] == UInt8(ascii: "{") else {
      throw damaged(file, expected: "a JSON header that starts with '{'", found: "byte \(bytes[8])")
    }
    return Int(length)
  }

  private static func decode(_ text: UnsafeRawBufferPointer, file: String) throws(DataError) -> SafetensorsJSON {
    let json: SafetensorsJSON
    do {
      json = try JSONDecoder().decode(SafetensorsJSON.self, from: Data(text))
    } catch {
      throw damaged(
        file, expected: "a JSON header of tensors with dtype, shape, data_offsets", found: JSON.reason(error)
      )
    }
    let names = SafetensorsJSON.countNames(text)
    guard names == json.names else {
      throw damaged(
        file, expected: "every name once in the header", found: "\(names) names, of which \(json.names) differ")
    }
    return json
  }

  private static func check(_ raw: SafetensorsJSON.Entry, name: String, data: Range<Int>, file: String)
    throws(DataError) -> TensorEntry
  {
    guard let element = SafetensorsElement(rawValue: raw.dtype) else {
      let known = SafetensorsElement.allCases.map(\.rawValue).joined(separator: ", ")
      throw DataError(
        file: file, expected: "tensor '\(name)' of a known dtype (\(known))", found: "'\(raw.dtype)'",
        remedy: "write it in another dtype")
    }
    guard let size = element.bytes(ofShape: raw.shape) else {
      throw damaged(file, expected: "tensor '\(name)' of a possible shape", found: "\(raw.shape.prefix(16))")
    }
    let offsets = raw.data_offsets
    guard offsets.count == 2, 0 <= offsets[0], offsets[0] <= offsets[1], offsets[1] <= data.count else {
      throw damaged(
        file, expected: "data_offsets of tensor '\(name)' within the \(data.count) bytes of data",
        found: "\(offsets.prefix(4))")
    }
    guard offsets[1] - offsets[0] == size else {
      throw damaged(
        file, expected: "\(size) bytes for tensor '\(name)' of \(element.rawValue) \(raw.shape.prefix(16))",
        found: "\(offsets[1] - offsets[0])")
    }
    return TensorEntry(
      name: name, element: element, shape: raw.shape, bytes: data.lowerBound + offsets[0]..<data.lowerBound + offsets[1]
    )
  }

  private static func damaged(_ file: String, expected: String, found: String) -> DataError {
    DataError(
      file: file, expected: expected, found: found,
      remedy: "the file is damaged or not a \(kind); fetch or write it again")
  }
}
