import Foundation

/// The records of an event file: each its length (8 bytes), the length's checksum (4), the content, the content's checksum
/// (4); all little-endian.
enum RecordFraming {
  private static let overhead = 16

  static func record(_ content: Data) -> Data {
    let length = bytes(UInt64(content.count))
    return length + bytes(CRC32C.masked(of: length)) + content + bytes(CRC32C.masked(of: content))
  }

  /// The contents of the records at a file's start, up to the first that is cut or damaged, and the bytes they take.
  static func records(in file: Data) -> (contents: [Data], bytes: Int) {
    var (contents, rest) = ([Data](), file[...])
    while rest.count >= overhead {
      let length = rest.prefix(8)
      guard number(rest.dropFirst(8).prefix(4)) == UInt64(CRC32C.masked(of: length)),
        let count = Int(exactly: number(length)), count <= rest.count - overhead
      else { break }
      let content = rest.dropFirst(12).prefix(count)
      guard number(rest.dropFirst(12 + count).prefix(4)) == UInt64(CRC32C.masked(of: content)) else { break }
      contents.append(Data(content))
      rest = rest.dropFirst(overhead + count)
    }
    return (contents, file.count - rest.count)
  }

  private static func bytes(_ value: some FixedWidthInteger) -> Data {
    withUnsafeBytes(of: value.littleEndian) { Data($0) }
  }

  private static func number(_ bytes: Data) -> UInt64 { bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
}
