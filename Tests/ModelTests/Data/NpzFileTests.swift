import Foundation
import Model
import Testing

@Suite struct NpzFileTests {
  /// A zip file of stored entries as NumPy writes it, with the wide sizes of zip64 if asked for.
  static func archive(_ entries: [(name: String, content: [UInt8])], wide: Bool = false, method: UInt16 = 0) -> [UInt8]
  {
    var file: [UInt8] = []
    var directory: [UInt8] = []
    for (name, content) in entries {
      let offset = file.count
      file += le32(0x0403_4B50) + le16(20) + le16(0) + le16(method) + le32(0) + le32(0)
      file += le32(UInt32(content.count)) + le32(UInt32(content.count)) + le16(UInt16(name.utf8.count)) + le16(4)
      file += Array(name.utf8) + le16(0xFEFE) + le16(0) + content
      let size = wide ? UInt32.max : UInt32(content.count)
      let extra = wide ? le16(1) + le16(24) + le64(content.count) + le64(content.count) + le64(offset) : []
      directory += le32(0x0201_4B50) + le16(20) + le16(20) + le16(0) + le16(method) + le32(0) + le32(0)
      directory += le32(size) + le32(size) + le16(UInt16(name.utf8.count)) + le16(UInt16(extra.count)) + le16(0)
      directory += le16(0) + le16(0) + le32(0) + le32(wide ? .max : UInt32(offset)) + Array(name.utf8) + extra
    }
    let start = file.count
    file += directory
    if wide {
      let record = file.count
      file += le32(0x0606_4B50) + le64(44) + le16(45) + le16(45) + le32(0) + le32(0) + le64(entries.count)
      file += le64(entries.count) + le64(directory.count) + le64(start)
      file += le32(0x0706_4B50) + le32(0) + le64(record) + le32(1)
    }
    file += le32(0x0605_4B50) + le16(0) + le16(0) + le16(UInt16(entries.count)) + le16(UInt16(entries.count))
    return file + le32(wide ? .max : UInt32(directory.count)) + le32(wide ? .max : UInt32(start)) + le16(0)
  }

  static func npy(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let text = Array((header + "\n").utf8)
    let length = version == 1 ? le16(UInt16(text.count)) : le32(UInt32(text.count))
    return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
  }

  static func npy(_ type: String, _ shape: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    npy("{'descr': '\(type)', 'fortran_order': False, 'shape': \(shape), }", data, version: version)
  }

  static func le16(_ value: UInt16) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
  static func le32(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
  static func le64(_ value: Int) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
  static func bytes<T>(_ values: [T]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

  static func open(_ bytes: [UInt8], in directory: TemporaryDirectory) throws -> NpzFile {
    let path = directory.file("x.npz")
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return try NpzFile(path: path)
  }

  /// The arrays of `SampleFile`.
  static func sample(_ file: SampleFile = SampleFile()) -> [(name: String, content: [UInt8])] {
    file.features.map {
      ($0.name + ".npy", npy("<f4", "(\($0.values.count / $0.width / 3), 3, \($0.width))", bytes($0.values)))
    } + [
      ("labels.npy", npy("<f4", "(\(file.labels.count / 2), 2)", bytes(file.labels), version: 2)),
      ("audio_length.npy", npy("<i8", "(4,)", bytes([1, 2, 3, 3] as [Int64]), version: 3)),
      ("label_names.npy", npy("<U5", "(2,)", bytes("calm\0tense".unicodeScalars.map(\.value)))),
    ]
  }

  @Test(arguments: [false, true]) func holdsWhatASafetensorsFileHolds(wide: Bool) throws {
    let directory = try TemporaryDirectory()
    try SampleFile().write(to: directory.file("a.safetensors"))
    try Data(Self.archive(Self.sample(), wide: wide)).write(to: URL(fileURLWithPath: directory.file("a.npz")))
    let wanted = try DatasetSplit(path: directory.file("a.safetensors"))
    let split = try DatasetSplit(path: directory.file("a.npz"))
    #expect(split.count == 4 && split.labelNames == ["calm", "tense"])
    for (mine, theirs) in zip(split.modalities, wanted.modalities) {
      #expect(mine.lengths == theirs.lengths && mine.steps == theirs.steps && mine.features == theirs.features)
      for sample in 0..<4 { #expect(mine.features(ofSample: sample) == theirs.features(ofSample: sample)) }
    }
    for sample in 0..<4 { #expect(Array(split.labels(ofSample: sample)) == Array(wanted.labels(ofSample: sample))) }
  }

  @Test func aDirectoryMayHoldNpzFiles() throws {
    let directory = try TemporaryDirectory()
    for split in ["train", "test"] {
      try Data(Self.archive(Self.sample())).write(to: URL(fileURLWithPath: directory.file(split + ".npz")))
    }
    try SampleFile().write(to: directory.file("valid.safetensors"))
    #expect(try Dataset(directory: directory.path).test.path.hasSuffix("test.npz"))
  }

  @Test func otherArraysAreRefusedOnlyWhenAskedFor() throws {
    let directory = try TemporaryDirectory()
    let eight = [UInt8](repeating: 0, count: 8)
    let file = try Self.open(
      Self.archive([
        ("double.npy", Self.npy("<f8", "(1,)", eight)), ("object.npy", Self.npy("|O", "(1,)", eight)),
        ("fortran.npy", Self.npy("{'shape': (1, 2), 'fortran_order': True, 'descr': '<f4'}", eight)),
        ("turned.npy", Self.npy("{'shape': (2, 2), 'fortran_order': True, 'descr': '<f4'}", eight + eight)),
        ("note.txt", eight),
      ]), in: directory)
    #expect(file.names == ["fortran"])
    for (name, words) in [("double", "<f8"), ("object", "|O"), ("turned", "Fortran")] {
      let error = #expect(throws: DataError.self) { try file.floats(name) }
      #expect(error?.found.contains(words) == true && error?.remedy.contains("scripts/convert") == true)
    }
    let packed = try Self.open(Self.archive(Self.sample(), method: 8), in: directory)
    let error = #expect(throws: DataError.self) { try packed.floats("text") }
    #expect(error?.remedy.contains("numpy.savez") == true)
    let path = packed.path
    #expect(throws: DataError.self) { try DatasetSplit(path: path) }
  }

  @Test(arguments: [
    "", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (2}",
    "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "{'descr: <f4",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", "{'shape': (2,), 'os': 'system'}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
  ])
  func wrongHeaders(header: String) throws {
    let directory = try TemporaryDirectory()
    let file = Self.archive([("a.npy", Self.npy(header, [UInt8](repeating: 0, count: 8)))])
    #expect(throws: DataError.self) { try Self.open(file, in: directory) }
  }

  @Test func aNameTwice() throws {
    let directory = try TemporaryDirectory()
    let array = Self.npy("<f4", "(1,)", [0, 0, 0, 0])
    let error = #expect(throws: DataError.self) {
      try Self.open(Self.archive([("a.npy", array), ("a.npy", array)]), in: directory)
    }
    #expect(error?.found.contains("twice") == true)
  }

  /// A file that was cut is refused; whatever the bytes, opening ends with a file or an error, and what opens can be read.
  @Test(arguments: [false, true]) func damagedFiles(wide: Bool) throws {
    let directory = try TemporaryDirectory()
    var file = SampleFile()
    file.features = file.features.map { ($0.name, min($0.width, 2), Array($0.values.prefix(min($0.width, 2) * 12))) }
    let good = Self.archive(Self.sample(file), wide: wide)
    func check(_ bytes: [UInt8]) {
      guard let file = try? Self.open(bytes, in: directory) else { return }
      for name in file.names { _ = try? file.floats(name).reduce(0, +) }
    }
    #expect(throws: Never.self) { try Self.open(good, in: directory) }
    for count in 0..<good.count {
      #expect(throws: DataError.self, "\(count) bytes") { try Self.open(Array(good[..<count]), in: directory) }
    }
    for i in 0..<good.count {
      var bad = good
      bad[i] = bad[i] == 0xFF ? 0 : 0xFF
      check(bad)
    }
  }
}
