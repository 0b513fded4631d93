import Foundation

@testable import Files

// Changes that libFuzzer's own, of single bytes, would hardly find: of a header's JSON, with its length set right.

@_silgen_name("LLVMFuzzerMutate")
func mutateBytes(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maximum: Int) -> Int

@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maximum: Int, _ seed: UInt32) -> Int {
  guard let reader = Workplace.current?.reader else { return mutateBytes(data, size, maximum) }
  var random = Draws(state: UInt64(seed) | 1)
  if random.below(4) == 0 { return mutateBytes(data, size, maximum) }
  var input = Array(UnsafeBufferPointer(start: data, count: size))
  if reader.isText {
    Mutation.change(&input, &random)
  } else {
    guard size >= 8 else { return mutateBytes(data, size, maximum) }
    let length = input.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
    guard length <= UInt64(size - 8) else { return mutateBytes(data, size, maximum) }
    var text = Array(input[8..<8 + Int(length)])
    Mutation.change(&text, &random)
    input = withUnsafeBytes(of: UInt64(text.count).littleEndian, Array.init) + text + input[(8 + Int(length))...]
  }
  guard input.count <= maximum else { return mutateBytes(data, size, maximum) }
  input.withUnsafeBufferPointer { if let base = $0.baseAddress { data.update(from: base, count: $0.count) } }
  return input.count
}

struct Draws {
  var state: UInt64

  mutating func below(_ limit: Int) -> Int {
    // Xorshift: any spread will do.
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return limit > 0 ? Int((state >> 16) % UInt64(limit)) : 0
  }
}

enum Mutation {
  private static let numbers = [
    "0", "-1", "1", "2", "3", "4", "7", "255", "65536", "1048576", "1048577", "2147483647", "2147483648", "4294967296",
    "-2147483649", "1073741824", "4611686018427387904", "9223372036854775807", "-9223372036854775808",
    "18446744073709551615", "99999999999999999999999", "1e400", "1e-400", "1e308", "3.5", "-0.0", "1E38", "\"NaN\"",
    "\"Infinity\"", "null", "true", "[]", "{}", "\"\"", "0.1", "0.99",
  ]
  private static let insertions = [
    "\"__metadata__\": {}, ", "\"a\": 1, ", "\\u0000", "\\ud800", "\u{1B}[2J", "\u{202E}", ",", "{", "}", "[", "]", ":",
    "\"", "\\", "\"dtype\": \"F64\"", "\"momentum\"", "\"alignedSteps\": 2, ",
  ]

  /// One change of a JSON text.
  static func change(_ text: inout [UInt8], _ random: inout Draws) {
    switch random.below(9) {
    case 0, 1, 2: replaceNumber(&text, &random)
    case 3:
      text.insert(contentsOf: insertions[random.below(insertions.count)].utf8, at: random.below(text.count + 1))
    case 4:
      // A value or a member, a second time or away.
      let part = member(text, &random)
      if random.below(2) == 0 {
        text.removeSubrange(part)
      } else {
        text.insert(contentsOf: text[part], at: part.upperBound)
      }
    case 5:
      let depth = [1, 30, 511, 513, 2000][random.below(5)]
      let bracket = UInt8(ascii: random.below(2) == 0 ? "[" : "{")
      text.insert(contentsOf: repeatElement(bracket, count: depth), at: random.below(text.count + 1))
    case 6: text.insert([0xFF, 0xC0, 0xED, 0x80, 0xF5, 0x00][random.below(6)], at: random.below(text.count + 1))
    case 7:
      // A string in another's place.
      let (from, to) = (string(text, &random), string(text, &random))
      text.replaceSubrange(to, with: Array(text[from]))
    default: if !text.isEmpty { text[random.below(text.count)] ^= 1 << UInt8(random.below(8)) }
    }
  }

  private static func isNumber(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || byte == 0x2D || byte == 0x2E }

  private static func replaceNumber(_ text: inout [UInt8], _ random: inout Draws) {
    let start = random.below(text.count)
    guard let first = text[start...].firstIndex(where: isNumber) else { return }
    let end = text[first...].firstIndex { !isNumber($0) } ?? text.count
    var new = Array(numbers[random.below(numbers.count)].utf8)
    if random.below(4) == 0, let old = Int(String(decoding: text[first..<end], as: UTF8.self)) {
      new = Array("\(old &+ random.below(5) &- 2)".utf8)
    }
    text.replaceSubrange(first..<end, with: new)
  }

  /// From one comma to the next.
  private static func member(_ text: [UInt8], _ random: inout Draws) -> Range<Int> {
    let start = random.below(text.count)
    let first = text[start...].firstIndex(of: UInt8(ascii: ",")) ?? start
    let end = text[min(first + 1, text.count)...].firstIndex { [0x2C, 0x5D, 0x7D].contains($0) } ?? text.count
    return first..<max(first, end)
  }

  private static func string(_ text: [UInt8], _ random: inout Draws) -> Range<Int> {
    let start = random.below(text.count)
    let first = text[start...].firstIndex(of: UInt8(ascii: "\"")) ?? start
    let end = text[min(first + 1, text.count)...].firstIndex(of: UInt8(ascii: "\"")) ?? text.count
    return first..<max(first, end)
  }
}
