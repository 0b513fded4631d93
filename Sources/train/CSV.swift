import Foundation

/// Comma-separated values as RFC 4180 has them, but for the end of a line, which is a line feed.
enum CSV {
  static func line(_ fields: [String]) -> String { fields.map(quoted).joined(separator: ",") + "\n" }

  /// A field, in quotes where it needs them, and where it has characters that are not for the eye. Bytes decide: a Character
  /// may hold a comma and an accent, or both ends of line.
  static func quoted(_ field: String) -> String {
    guard field.utf8.contains(where: { $0 < 0x20 || ",\"\u{7F}".utf8.contains($0) }) else { return field }
    return "\"" + field.unicodeScalars.map { $0 == "\"" ? "\"\"" : String($0) }.joined() + "\""
  }
}
