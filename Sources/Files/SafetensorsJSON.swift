import Foundation

/// The header's JSON as it stands, its types checked and nothing else.
struct SafetensorsJSON: Decodable {
  struct Entry: Decodable {
    let dtype: String
    let shape: [Int]
    let data_offsets: [Int]
  }

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private(set) var metadata: [String: String] = [:]
  private(set) var entries: [(name: String, entry: Entry)] = []
  /// Different names at the top level.
  private(set) var names = 0

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    names = container.allKeys.count
    for key in container.allKeys {
      if key.stringValue == "__metadata__" {
        metadata = try container.decode([String: String].self, forKey: key)
      } else {
        entries.append((key.stringValue, try container.decode(Entry.self, forKey: key)))
      }
    }
  }

  /// Names at the top level of a JSON object, repeated ones counted again: decoders keep one of them silently.
  static func countNames(_ text: UnsafeRawBufferPointer) -> Int {
    var names = 0, depth = 0
    var inString = false, escaped = false
    for byte in text {
      if inString {
        inString = escaped || byte != UInt8(ascii: "\"")
        escaped = !escaped && byte == UInt8(ascii: "\\")
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): inString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: ":") where depth == 1: names += 1
      default: break
      }
    }
    return names
  }
}
