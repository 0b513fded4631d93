import Foundation

/// The central directory of a zip file: names, and where each entry's bytes lie.
///
/// A directory may come from anybody. Every entry's range lies inside the file; nothing is allocated by what it claims.
/// Format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3 (zip64).
struct ZipDirectory {
  struct Entry {
    let name: String
    /// Whether the bytes are the content itself: neither compressed nor encrypted.
    let isStored: Bool
    let bytes: Range<Int>
  }

  static let kind = "zip file"
  /// What an entry of the central directory, and the record at its end, have at least.
  private static let entrySize = 46
  private static let endSize = 22

  let entries: [Entry]

  /// Parses the directory of `bytes`, the whole file; `file` is its path, for messages.
  init(parsing bytes: UnsafeRawBufferPointer, file: String) throws(DataError) {
    let reader = ByteReader(bytes: bytes, file: file)
    let place = try Self.directory(reader)
    var entries: [Entry] = []
    var names: Set<String> = []
    var offset = place.lowerBound
    while offset < place.upperBound {
      let (entry, size) = try Self.entry(at: offset, limit: place.upperBound, reader)
      guard names.insert(entry.name).inserted else {
        throw reader.damaged("every name once", "'\(entry.name)' twice")
      }
      entries.append(entry)
      offset += size
    }
    self.entries = entries
  }

  /// Where the central directory lies: the record that says so is at the end of the file, before a comment.
  private static func directory(_ reader: ByteReader) throws(DataError) -> Range<Int> {
    let count = reader.bytes.count
    guard count >= endSize else { throw reader.damaged("a \(kind)", "\(count) bytes") }
    for end in stride(from: count - endSize, through: max(0, count - endSize - 0xFFFF), by: -1) {
      guard try reader.integer(UInt32.self, at: end) == 0x0605_4B50,
        try Int(reader.integer(UInt16.self, at: end + 20)) == count - end - endSize
      else { continue }
      var size = UInt64(try reader.integer(UInt32.self, at: end + 12))
      var start = UInt64(try reader.integer(UInt32.self, at: end + 16))
      if end >= 20, try reader.integer(UInt32.self, at: end - 20) == 0x0706_4B50 {
        let record = try reader.offset(UInt64(reader.integer(UInt64.self, at: end - 12)))
        guard try reader.integer(UInt32.self, at: record) == 0x0606_4B50 else {
          throw reader.damaged("a zip64 end of directory at byte \(record)", "none")
        }
        size = try reader.integer(UInt64.self, at: record + 40)
        start = try reader.integer(UInt64.self, at: record + 48)
      }
      let first = try reader.offset(start)
      guard size <= UInt64(end - min(first, end)) else {
        throw reader.damaged("a directory of \(size) bytes before byte \(end)", "its start at \(start)")
      }
      return first..<first + Int(size)
    }
    throw reader.damaged("a \(kind)", "no end of a directory")
  }

  private static func entry(at offset: Int, limit: Int, _ reader: ByteReader) throws(DataError) -> (Entry, Int) {
    guard limit - offset >= entrySize, try reader.integer(UInt32.self, at: offset) == 0x0201_4B50 else {
      throw reader.damaged("an entry of the directory at byte \(offset)", "none")
    }
    let flags = try reader.integer(UInt16.self, at: offset + 8)
    let method = try reader.integer(UInt16.self, at: offset + 10)
    var packed = UInt64(try reader.integer(UInt32.self, at: offset + 20))
    var unpacked = UInt64(try reader.integer(UInt32.self, at: offset + 24))
    let nameSize = Int(try reader.integer(UInt16.self, at: offset + 28))
    let extraSize = Int(try reader.integer(UInt16.self, at: offset + 30))
    let commentSize = Int(try reader.integer(UInt16.self, at: offset + 32))
    var local = UInt64(try reader.integer(UInt32.self, at: offset + 42))
    let size = entrySize + nameSize + extraSize + commentSize
    guard size <= limit - offset else { throw reader.damaged("an entry of \(size) bytes at byte \(offset)", "fewer") }
    let name = String(decoding: reader.bytes[offset + entrySize..<offset + entrySize + nameSize], as: UTF8.self)

    // Numbers that 32 bits can't hold are all ones, and follow in an extra field, in this order.
    var extra = offset + entrySize + nameSize
    let extraEnd = extra + extraSize
    while extraEnd - extra >= 4 {
      let fieldEnd = extra + 4 + Int(try reader.integer(UInt16.self, at: extra + 2))
      guard fieldEnd <= extraEnd else { break }
      if try reader.integer(UInt16.self, at: extra) == 1 {
        var next = extra + 4
        func wide(_ value: inout UInt64) throws(DataError) {
          guard value == 0xFFFF_FFFF else { return }
          guard fieldEnd - next >= 8 else { throw reader.damaged("the size of '\(name)' in 64 bits", "none") }
          value = try reader.integer(UInt64.self, at: next)
          next += 8
        }
        try wide(&unpacked)
        try wide(&packed)
        try wide(&local)
      }
      extra = fieldEnd
    }

    let header = try reader.offset(local)
    guard try reader.integer(UInt32.self, at: header) == 0x0403_4B50 else {
      throw reader.damaged("the entry '\(name)' at byte \(header)", "none")
    }
    let start =
      try header + 30 + Int(reader.integer(UInt16.self, at: header + 26))
      + Int(reader.integer(UInt16.self, at: header + 28))
    guard start <= reader.bytes.count, packed <= UInt64(reader.bytes.count - start) else {
      throw reader.damaged("\(packed) bytes of '\(name)' at byte \(start)", "the file's end at \(reader.bytes.count)")
    }
    let isStored = method == 0 && flags & 1 == 0
    guard !isStored || packed == unpacked else {
      throw reader.damaged("one size of the stored entry '\(name)'", "\(packed) and \(unpacked)")
    }
    return (Entry(name: name, isStored: isStored, bytes: start..<start + Int(packed)), size)
  }
}

/// Little-endian integers anywhere in a file's bytes.
struct ByteReader {
  let bytes: UnsafeRawBufferPointer
  let file: String

  func integer<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type, at offset: Int) throws(DataError) -> T {
    guard offset >= 0, bytes.count >= MemoryLayout<T>.size, offset <= bytes.count - MemoryLayout<T>.size else {
      throw damaged("\(MemoryLayout<T>.size) bytes at byte \(offset)", "the file's end at \(bytes.count)")
    }
    return T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// A place in the file.
  func offset(_ value: UInt64) throws(DataError) -> Int {
    guard value <= UInt64(bytes.count) else {
      throw damaged("something at byte \(value)", "the file's end at \(bytes.count)")
    }
    return Int(value)
  }

  func damaged(_ expected: String, _ found: String) -> DataError {
    DataError(
      file: file, expected: expected, found: found,
      remedy: "the file is damaged or no npz file; write it again with numpy.savez")
  }
}
