import Tensor

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
    oneLine("\(file): expected \(expected.prefix(400)), found \(found.prefix(400)); \(remedy)")
  }
}
