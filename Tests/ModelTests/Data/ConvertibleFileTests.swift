import Files
import Foundation
import Model
import TestSupport
import Testing

/// Files in other formats are named for what they are, with the command that converts them.
@Suite struct ConvertibleFileTests {
  /// The header of a zip file's first entry, of this name.
  static func zip(_ name: String) -> [UInt8] {
    Array("PK\u{3}\u{4}".utf8) + [UInt8](repeating: 0, count: 22) + [UInt8(name.utf8.count), 0, 0, 0]
      + Array(name.utf8) + [UInt8](repeating: 7, count: 40)
  }

  static let kinds: [(name: String, bytes: [UInt8], found: String, remedy: String)] = [
    ("train.npz", zip("text.npy"), "an npz file", "convert it: scripts/convert DIR/train.npz -o OUT"),
    ("my data.npz", zip("text.npy"), "an npz file", "convert it: scripts/convert 'DIR/my data.npz' -o OUT"),
    ("a.pt", zip("archive/data.pkl"), "a zip file", "scripts/weights DIR/a.pt OUT.safetensors"),
    ("a.pkl", [0x80, 4, 0x95] + [UInt8](repeating: 1, count: 40), "a pickle", "scripts/convert DIR/a.pkl -o OUT"),
    ("a.csd", [0x89] + Array("HDF\r\n\u{1A}\n".utf8) + [0, 0], "an HDF5 file", "scripts/convert DIR/a.csd -o OUT"),
    ("a.npy", [0x93] + Array("NUMPY\u{1}\0v\0{'descr'".utf8), "an npy array", "numpy.savez"),
  ]

  @Test(arguments: kinds.indices) func isNamed(index: Int) throws {
    let directory = try TemporaryDirectory()
    let kind = Self.kinds[index]
    let path = directory.file(kind.name)
    try Data(kind.bytes).write(to: URL(fileURLWithPath: path))
    let remedy = kind.remedy.replacingOccurrences(of: "DIR", with: directory.path)
    for open in [{ _ = try DatasetSplit(path: path) }, { _ = try Dataset(directory: path) }] as [() throws -> Void] {
      let error = #expect(throws: DataError.self) { try open() }
      #expect(error?.found.contains(kind.found) == true && error?.remedy.contains(remedy) == true, "\(error as Any)")
    }
    // However short, it is an error and no trap.
    for count in 0..<kind.bytes.count {
      try Data(kind.bytes[..<count]).write(to: URL(fileURLWithPath: path))
      #expect(throws: DataError.self) { try SafetensorsFile(path: path) }
    }
  }

  @Test(arguments: [("all.npz", ""), ("train.npz", ""), ("words.csd", ""), ("m.pkl", "/m.pkl"), ("m.pt", "/m.pt")])
  func aDirectoryOfThemIsConverted(name: String, input: String) throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    try Data("?".utf8).write(to: URL(fileURLWithPath: directory.file(name)))
    let error = #expect(throws: DataError.self) { try Dataset(directory: path) }
    #expect(error?.found == "no such file")
    #expect(error?.remedy.hasSuffix("scripts/convert \(path + input) -o OUT") == true, "\(error as Any)")
    try SampleFile().write(to: directory.file("train.safetensors"))
    #expect(try Dataset.open("train", in: path).count == 4)
  }

  /// Its length starts as a pickle does.
  @Test func aSafetensorsFileIsOne() throws {
    let directory = try TemporaryDirectory()
    let header = Array(("{}" + String(repeating: " ", count: 0x280 - 2)).utf8)
    let path = directory.file("a.safetensors")
    try Data(withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header)
      .write(to: URL(fileURLWithPath: path))
    #expect(try SafetensorsFile(path: path).names == [])
  }
}
