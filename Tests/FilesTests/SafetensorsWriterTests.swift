import Files
import Foundation
import TestSupport
import Testing

@Suite struct SafetensorsWriterTests {
  @Test func roundTrip() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a.safetensors")
    let metadata = ["quote\"": "back\\slash\n\u{1}é😀", "empty": ""]
    let floats: [Float] = [1, .infinity, -0.0, .leastNonzeroMagnitude, 5, 6]
    try floats.withUnsafeBufferPointer { values in
      let one = UnsafeBufferPointer(rebasing: values[4..<5])
      let none = UnsafeBufferPointer<Float>(start: nil, count: 0)
      try SafetensorsWriter(
        tensors: [
          TensorSource(name: "z/first", shape: [2, 3], floats: values),
          TensorSource(name: "scalar", shape: [], floats: one),
          TensorSource(name: "none", shape: [0, 7], floats: none),
          TensorSource(name: "a \"last\"", element: .uint8, shape: [24], bytes: UnsafeRawBufferPointer(values)),
        ], metadata: metadata
      ).write(to: path)
    }
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == metadata)
    #expect(file.names == ["z/first", "scalar", "none", "a \"last\""])
    #expect(file.names.map { file.shape(of: $0) } == [[2, 3], [], [0, 7], [24]])
    #expect(file.dtype(of: "a \"last\"") == .uint8)
    #expect(try file.floats("z/first", shape: [2, nil]).map(\.bitPattern) == floats.map(\.bitPattern))
    #expect(try file.scalar("scalar") == 5)
    #expect(try file.floats("none").isEmpty)
    // The data start at a cache line, and nothing but the file is left.
    let base = try #require(file.bytes(of: "z/first")?.baseAddress)
    #expect(Int(bitPattern: base) % 64 == 0)
    #expect(try directory.names() == ["a.safetensors"])
  }

  @Test func noTensorsAtAll() throws {
    let directory = try TemporaryDirectory()
    try SafetensorsWriter(tensors: []).write(to: directory.file("a"))
    #expect(try SafetensorsFile(path: directory.file("a")).names == [])
  }

  @Test func aMissingDirectoryIsNamed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("none/a.safetensors")
    let error = #expect(throws: DataError.self) { try SafetensorsWriter(tensors: []).write(to: path) }
    #expect(error?.description.contains(path) == true)
    #expect(error?.found == "No such file or directory")
  }

  @Test(.enabled(if: geteuid() != 0, "root may write anywhere")) func aReadOnlyDirectoryIsLeftAlone() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: directory.path)
    let path = directory.file("a")
    let error = #expect(throws: DataError.self) { try SafetensorsWriter(tensors: []).write(to: path) }
    #expect(error?.found == "Permission denied")
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
  }

  /// The kernel's own file system, where not even root may create a file.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc"))) func aPlaceThatCannotBeWritten() {
    let error = #expect(throws: DataError.self) { try SafetensorsWriter(tensors: []).write(to: "/proc/a.safetensors") }
    #expect(error?.remedy.contains("can be written") == true)
  }

  /// A rename that can't be done: nothing half-written is left.
  @Test func aFailureRemovesTheTemporary() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("taken")
    try FileManager.default.createDirectory(atPath: path + "/inside", withIntermediateDirectories: true)
    #expect(throws: DataError.self) { try SafetensorsWriter(tensors: []).write(to: path) }
    #expect(try directory.names() == ["taken"])
  }

  @Test func anOldFileIsReplacedWhole() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a")
    try SafetensorsWriter(tensors: [], metadata: ["version": "1"]).write(to: path)
    let old = try SafetensorsFile(path: path)
    try SafetensorsWriter(tensors: [], metadata: ["version": "2"]).write(to: path)
    #expect(old.metadata == ["version": "1"])
    #expect(try SafetensorsFile(path: path).metadata == ["version": "2"])
  }
}
