import Files
import Foundation
import TestSupport
import Testing

@testable import Model

struct DatasetFingerprintTests {
  @Test func seesWhatChanges() throws {
    let directory = try TemporaryDirectory()
    for split in ["train", "valid", "test"] { try SampleFile().write(to: directory.file(split + ".safetensors")) }
    let dataset = try Dataset(directory: directory.path)
    let print = try DatasetFingerprint(of: dataset)
    #expect(try print.differences(from: dataset, whole: true).isEmpty)
    #expect(try JSON.decoder().decode(DatasetFingerprint.self, from: JSON.encoder().encode(print)) == print)

    let path = directory.file("valid.safetensors")
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    #expect(try print.differences(from: dataset, whole: false) == ["valid.safetensors has other bytes"])
    try bytes.dropLast().write(to: URL(fileURLWithPath: path))
    #expect(try print.differences(from: dataset, whole: false).first?.contains("bytes, had \(bytes.count)") == true)
  }

  /// The cheap look need not see one byte in the middle of a large file; the whole one does, in any piece.
  @Test func theWholeIsSeen() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("large")
    let size = 200 << 20
    #expect(FileManager.default.createFile(atPath: path, contents: nil) && truncate(path, off_t(size)) == 0)
    let before = try DatasetFingerprint(files: [path])
    let file = try #require(FileHandle(forUpdatingAtPath: path))
    for offset in [0, (64 << 20) + 12345, size - 1] {
      try file.seek(toOffset: UInt64(offset))
      try file.write(contentsOf: Data([1]))
      #expect(try DatasetFingerprint(files: [path]).files[0].whole != before.files[0].whole, "\(offset)")
      try file.seek(toOffset: UInt64(offset))
      try file.write(contentsOf: Data([0]))
    }
    #expect(try DatasetFingerprint(files: [path]) == before)
  }

  @Test func missingFilesAreNamed() throws {
    let error = #expect(throws: DataError.self) { _ = try DatasetFingerprint(files: ["/nowhere/x"]) }
    #expect(error?.description.contains("/nowhere/x") == true)
  }

  /// Files of sysfs are shorter than the page that they claim to be.
  @Test(.enabled(if: (try? FileManager.default.attributesOfItem(atPath: shorter)[.size] as? Int) == 4096))
  func aFileThatEndsEarlySaysSo() throws {
    errno = EISDIR
    let error = #expect(throws: DataError.self) { _ = try DatasetFingerprint(files: [Self.shorter]) }
    #expect(error?.found.hasPrefix("its end after ") == true && error?.found.hasSuffix(" of 4096 bytes") == true)
  }

  static let shorter = "/sys/devices/system/cpu/online"
}
