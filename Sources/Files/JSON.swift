import Foundation

/// How this project writes and reads JSON: keys in order, and a word for what no number of JSON can be.
package enum JSON {
  /// - Parameter pretty: for files that people read: one key a line.
  package static func encoder(pretty: Bool = false) -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return encoder
  }

  package static func decoder() -> JSONDecoder {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return decoder
  }

  /// The bytes of a file of settings.
  ///
  /// - Throws: if it can't be read, is a pipe or another special file, or is longer than any settings are.
  package static func data(ofFile path: String) throws(DataError) -> Data {
    let map = try MappedFile(path: path, minimum: 1, kind: "JSON file")
    guard map.bytes.count <= maximumLength else {
      throw DataError(
        file: path, expected: "at most \(maximumLength) bytes of settings", found: "\(map.bytes.count)",
        remedy: "give a file of settings; a run's config.json is an example")
    }
    return Data(map.bytes)
  }

  private static let maximumLength = 1 << 24

  /// A value as one line.
  package static func line(_ value: some Encodable) throws -> String {
    String(decoding: try encoder().encode(value), as: UTF8.self)
  }

  /// A value's leaves by their paths, such as `model.modalities[0].layers`.
  package static func leaves(of value: some Encodable) throws -> [String: String] {
    try leaves(of: encoder().encode(value))
  }

  /// The leaves of a JSON text by their paths.
  package static func leaves(of text: Data) throws -> [String: String] {
    var leaves = [String: String]()
    func visit(_ value: Any, _ path: String) {
      if let object = value as? [String: Any] {
        for (key, value) in object { visit(value, path.isEmpty ? key : path + "." + key) }
      } else if let list = value as? [Any] {
        for (i, value) in list.enumerated() { visit(value, "\(path)[\(i)]") }
      } else {
        leaves[path] = "\(value)"
      }
    }
    visit(try JSONSerialization.jsonObject(with: text, options: .fragmentsAllowed), "")
    return leaves
  }

  package static func reason(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
      .dataCorrupted(let context):
      let path = context.codingPath.map(\.stringValue).joined(separator: "/")
      return (path.isEmpty ? "" : "at '\(path)': ") + context.debugDescription
    @unknown default: return "\(error)"
    }
  }
}
