/// What is wrong with a file, in one line: the file, what was expected, what was found, what to do.
public struct DataError: Error, CustomStringConvertible, Sendable {
  public enum Kind: Sendable {
    /// Something that was read: it is missing, damaged, or not what was expected.
    case input
    /// An output that can't be created: no such directory, no permission, something else in its place.
    case creation
    /// Writing failed: the disk is full, a limit was reached, the device is broken.
    case writing
  }

  public let kind: Kind
  /// The path of the file or directory.
  public let file: String
  public let expected: String
  public let found: String
  /// What the reader of the message can do about it.
  public let remedy: String

  public init(_ kind: Kind = .input, file: String, expected: String, found: String, remedy: String) {
    self.kind = kind
    self.file = file
    self.expected = expected
    self.found = found
    self.remedy = remedy
  }

  public var description: String {
    Self.oneLine("\(file): expected \(expected.prefix(400)), found \(found.prefix(400)); \(remedy)")
  }

  /// Names inside a file are anybody's text: control characters and line separators are shown escaped, so that
  /// a message stays one line and can't drive a terminal.
  private static func oneLine(_ text: String) -> String {
    var line = ""
    for scalar in text.unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        line += "\\u{" + String(scalar.value, radix: 16) + "}"
      default: line.unicodeScalars.append(scalar)
      }
    }
    return line
  }
}
