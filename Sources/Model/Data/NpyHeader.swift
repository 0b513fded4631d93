/// The header of an npy array: magic, version, length, then a Python dictionary of type, order and shape.
///
/// A header may come from anybody: only the three entries that NumPy writes are understood, in any order.
/// Format: numpy.lib.format, versions 1 to 3.
struct NpyHeader {
  /// NumPy's name of the element type, such as `<f4`.
  let type: String
  let isFortranOrder: Bool
  let shape: [Int]
  /// Where the elements start, counted from the start of the array.
  let dataOffset: Int

  /// What NumPy itself reads at most.
  static let maximumLength = 10_000

  /// - Returns: nil if these bytes start with no such header.
  init?(parsing bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 12, bytes.starts(with: [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]), (1...3).contains(bytes[6]) else {
      return nil
    }
    let isShort = bytes[6] == 1
    let start = isShort ? 10 : 12
    let length =
      isShort
      ? Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self)))
      : Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
    guard length <= min(Self.maximumLength, bytes.count - start) else { return nil }
    var scanner = Scanner(rest: bytes[start..<start + length])
    var type: String?
    var isFortranOrder: Bool?
    var shape: [Int]?
    guard scanner.skip("{") else { return nil }
    while !scanner.skip("}") {
      guard let key = scanner.string(), scanner.skip(":") else { return nil }
      switch key {
      case "descr": type = scanner.string()
      case "fortran_order": isFortranOrder = scanner.boolean()
      case "shape": shape = scanner.numbers()
      default: return nil
      }
      guard scanner.skip(",") || scanner.next == UInt8(ascii: "}") else { return nil }
    }
    guard let type, let isFortranOrder, let shape else { return nil }
    self.type = type
    self.isFortranOrder = isFortranOrder
    self.shape = shape
    dataOffset = start + length
  }

  /// The few kinds of Python values in a header.
  private struct Scanner {
    var rest: Slice<UnsafeRawBufferPointer>

    /// The next byte that is no space.
    var next: UInt8? {
      mutating get {
        while let byte = rest.first, byte == 0x20 || byte == 0x0A { rest.removeFirst() }
        return rest.first
      }
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
      guard next == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }

    mutating func string() -> String? {
      guard let quote = next, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { return nil }
      rest.removeFirst()
      guard let end = rest.firstIndex(of: quote) else { return nil }
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }

    mutating func boolean() -> Bool? {
      for (word, value) in [("True", true), ("False", false)] where next != nil && rest.starts(with: word.utf8) {
        rest = rest.dropFirst(word.utf8.count)
        return value
      }
      return nil
    }

    /// A tuple of numbers that are not negative.
    mutating func numbers() -> [Int]? {
      guard skip("(") else { return nil }
      var numbers: [Int] = []
      while !skip(")") {
        guard next != nil else { return nil }
        let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard let number = Int(String(decoding: digits, as: UTF8.self)), numbers.count < 32 else { return nil }
        rest = rest.dropFirst(digits.count)
        numbers.append(number)
        guard skip(",") || next == UInt8(ascii: ")") else { return nil }
      }
      return numbers
    }
  }
}
