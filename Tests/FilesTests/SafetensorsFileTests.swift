import Files
import Tensor
import Foundation
import TestSupport
import Testing

@Suite struct SafetensorsFileTests {
  /// A file of a raw header and data, however wrong.
  static func raw(_ header: String, data: [UInt8] = [], length: UInt64? = nil) -> [UInt8] {
    let text = Array(header.utf8)
    return withUnsafeBytes(of: (length ?? UInt64(text.count)).littleEndian, Array.init) + text + data
  }

  static func open(_ bytes: [UInt8], in directory: TemporaryDirectory) throws -> SafetensorsFile {
    let path = directory.file("x.safetensors")
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return try SafetensorsFile(path: path)
  }

  static let eight = [UInt8](repeating: 1, count: 8)

  @Test(arguments: [
    (raw("{}", length: 3), "header length of 3"),
    (raw("{}", length: .max), "header length of 18446744073709551615"),
    (raw("{}", length: 1 << 63), "header length of"),
    (raw("{}", length: 0), "header length of 0"),
    (raw("[]"), "byte 91"),
    (raw("{]"), "JSON"),
    (raw(#"{"a": 1}"#), "at 'a'"),
    (raw(#"{"a": {"dtype": "F32", "shape": [2]}}"#, data: eight), "data_offsets"),
    (raw(#"{"a": {"dtype": 32, "shape": [2], "data_offsets": [0, 8]}}"#, data: eight), "dtype"),
    (raw(#"{"a": {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}}"#, data: eight), "'F33'"),
    (raw(#"{"a": {"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]}}"#, data: eight), "shape"),
    (raw(#"{"a": {"dtype": "F32", "shape": [2.5], "data_offsets": [0, 8]}}"#, data: eight), "shape"),
    (raw(#"{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 8]}}"#, data: eight), "shape"),
    (raw(#"{"a": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}"#, data: eight), "[-1, -2]"),
    (
      raw(#"{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 8]}}"#, data: eight),
      "possible shape"
    ),
    (raw(#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 1e30]}}"#, data: eight), "data_offsets"),
    (raw(#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}"#, data: eight), "[8, 0]"),
    (raw(#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}"#, data: eight), "[-8, 0]"),
    (raw(#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}}"#, data: eight), "[0]"),
    (raw(#"{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}"#, data: eight), "[0, 16]"),
    (raw(#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}"#, data: eight), "4 bytes for tensor 'a'"),
    (raw(#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#, data: eight), "the last end at"),
    (raw(#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}"#, data: eight), "to start at byte"),
    (
      raw(
        #"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}"#,
        data: eight), "tensor 'b' to start"
    ),
    (
      raw(
        #"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "\u0061": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}}"#,
        data: eight), "2 names, of which 1 differ"
    ),
    (raw(#"{"__metadata__": {"a": 1}}"#), "__metadata__"),
    (raw("{\"a\": " + String(repeating: "[", count: 100_000)), "JSON"),
    ([1, 0, 0], "3 bytes"),
  ])
  func hostileHeaders(bytes: [UInt8], message: String) throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: DataError.self) { try Self.open(bytes, in: directory) }
    let line = error?.description ?? ""
    #expect(line.contains("x.safetensors: expected ") && line.contains(message) && !line.contains("\n"), "\(line)")
  }

  @Test func anEmptyFileADirectoryAndNothing() throws {
    let directory = try TemporaryDirectory()
    #expect(throws: DataError.self) { try Self.open([], in: directory) }
    let path = directory.path
    let isDirectory = #expect(throws: DataError.self) { try SafetensorsFile(path: path) }
    #expect(isDirectory?.found == "a directory")
    let missing = #expect(throws: DataError.self) { try SafetensorsFile(path: path + "/none") }
    #expect(missing?.found == "No such file or directory")
  }

  @Test func everyTruncationIsRefused() throws {
    let directory = try TemporaryDirectory()
    let whole = try Self.valid(in: directory)
    for count in 0..<whole.count {
      #expect(throws: DataError.self) { try Self.open(Array(whole[..<count]), in: directory) }
    }
  }

  /// A file of several tensors, as its bytes.
  static func valid(in directory: TemporaryDirectory) throws -> [UInt8] {
    let path = directory.file("valid.safetensors")
    try [Float](repeating: 2.5, count: 24).withUnsafeBufferPointer { floats in
      try [Int32](repeating: 7, count: 4).withUnsafeBufferPointer { integers in
        try SafetensorsWriter(
          tensors: [
            TensorSource(name: "features", shape: [2, 3, 4], floats: floats),
            TensorSource(name: "length", shape: [4], int32s: integers),
          ],
          metadata: ["label_names": "a,b"]
        ).write(to: path)
      }
    }
    return [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  /// Whatever a damaged file says, opening and reading all of it ends in an error or in values.
  @Test func thousandsOfMutations() throws {
    let directory = try TemporaryDirectory()
    let whole = try Self.valid(in: directory)
    var random = SplitMix64(seed: 1)
    let likely = Array(#"0123456789-[]{}",:.eFIU\"#.utf8)
    var opened = 0
    for _ in 0..<5000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
        case 1:
          bytes[Int.random(in: 0..<min(16, bytes.count), using: &random)] ^=
            1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.remove(at: Int.random(in: bytes.indices, using: &random))
        case 3: bytes.insert(likely.randomElement(using: &random)!, at: Int.random(in: bytes.indices, using: &random))
        default: bytes[Int.random(in: bytes.indices, using: &random)] = likely.randomElement(using: &random)!
        }
      }
      guard let file = try? Self.open(bytes, in: directory) else { continue }
      opened += 1
      var sum = 0.0
      for name in file.names {
        if let floats = try? file.floats(name) { sum += floats.reduce(0) { $0 + Double($1) } }
        if let integers = try? file.int32s(name) { sum += integers.reduce(0) { $0 + Double($1) } }
        if let all = file.bytes(of: name) { sum += all.reduce(0) { $0 + Double($1) } }
      }
      #expect(sum.isNaN || !sum.isNaN)
    }
    #expect(opened > 0 && opened < 5000)
  }

  @Test func dataThatAreNotAlignedAreCopied() throws {
    let directory = try TemporaryDirectory()
    let values: [Float] = [1.5, -2, 3]
    // 1 byte of another tensor in front, and a header of an odd length.
    let header =
      #"{"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}, "b": {"dtype": "F32", "shape": [3], "data_offsets": [1, 13]}}"#
    for padding in 0..<4 {
      let bytes = Self.raw(
        header + String(repeating: " ", count: padding), data: [9] + values.withUnsafeBytes(Array.init))
      let file = try Self.open(bytes, in: directory)
      let floats = try file.floats("b", shape: [3])
      #expect(Array(floats) == values)
      #expect(try file.floats("b").baseAddress == floats.baseAddress)
    }
  }

  @Test func wrongTypesAndShapesNameTheTensor() throws {
    let directory = try TemporaryDirectory()
    let file = try Self.open(try Self.valid(in: directory), in: directory)
    #expect(try file.floats("features", shape: [2, nil, 4]).count == 24)
    for (name, shape) in [("features", [2, 4, 3]), ("features", [24]), ("length", [4]), ("none", [])]
      as [(String, [Int?])]
    {
      let error = #expect(throws: DataError.self) { try file.floats(name, shape: shape) }
      #expect(error?.description.contains("'\(name)'") == true)
    }
    #expect(throws: DataError.self) { try file.scalar("features") }
    #expect(throws: DataError.self) { try file.int32s("features") }
    #expect(file.shape(of: "none") == nil && file.dtype(of: "none") == nil && file.bytes(of: "none") == nil)
  }

  @Test func wideIntegersAreNarrowedOrRefused() throws {
    let directory = try TemporaryDirectory()
    let header = #"{"a": {"dtype": "I64", "shape": [2], "data_offsets": [0, 16]}}"#
    let good = Self.raw(header, data: [Int64(-5), Int64(Int32.max)].withUnsafeBytes(Array.init))
    #expect(try Self.open(good, in: directory).int32s("a") == [-5, .max])
    let bad = Self.raw(header, data: [Int64(1), Int64(Int32.max) + 1].withUnsafeBytes(Array.init))
    let error = #expect(throws: DataError.self) { try Self.open(bad, in: directory).int32s("a") }
    #expect(error?.found == "2147483648 at element 1")
  }
}
