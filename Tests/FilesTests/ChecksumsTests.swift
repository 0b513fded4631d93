import Foundation
import TestSupport
import Testing

@testable import Files

struct ChecksumsTests {
  /// A file of two tensors and some metadata.
  func write(to path: String) throws {
    let values: [Float] = [1, 2, 3, .nan]
    try values.withUnsafeBufferPointer { floats in
      try Checksums.write(
        [
          TensorSource(name: "a", shape: [2, 2], floats: floats),
          TensorSource(name: "b", shape: [0], floats: UnsafeBufferPointer(rebasing: floats[..<0])),
        ], metadata: ["format": "pt", "note": "x\"y"], to: path)
    }
  }

  func problem(_ path: String) -> String? {
    do throws(DataError) {
      try SafetensorsFile(path: path).verifyChecksums()
      return nil
    } catch {
      return error.description
    }
  }

  @Test func anyReaderReadsIt() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("x")
    try write(to: path)
    #expect(problem(path) == nil)
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata["note"] == "x\"y" && file.names.filter { $0 != Checksums.headerSum }.sorted() == ["a", "b"])
    #expect(try Array(file.floats("a", shape: [2, 2]).prefix(3)) == [1, 2, 3])
  }

  @Test func everyBitCounts() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("x")
    try write(to: path)
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    for i in whole.indices {
      for bit in 0..<8 {
        var damaged = whole
        damaged[i] ^= 1 << bit
        try damaged.write(to: URL(fileURLWithPath: directory.file("damaged")))
        #expect(problem(directory.file("damaged")) != nil, "bit \(bit) of byte \(i)")
      }
    }
  }

  @Test func everyCutCounts() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("x")
    try write(to: path)
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    for length in 0..<whole.count {
      try whole.prefix(length).write(to: URL(fileURLWithPath: directory.file("damaged")))
      #expect(problem(directory.file("damaged")) != nil, "\(length) bytes")
    }
    try (whole + [0]).write(to: URL(fileURLWithPath: directory.file("damaged")))
    #expect(problem(directory.file("damaged")) != nil)
  }

  @Test func filesWithoutChecksumsSaySo() throws {
    let directory = try TemporaryDirectory()
    try SafetensorsWriter(tensors: []).write(to: directory.file("x"))
    #expect(problem(directory.file("x"))?.contains("the checksum of its header") == true)
  }
}
