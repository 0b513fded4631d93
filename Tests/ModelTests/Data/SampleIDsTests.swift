import Files
import Foundation
import Model
import TestSupport
import Testing

@Suite struct SampleIDsTests {
  /// Bytes of ids, zeros behind the end of those that are shorter than the longest.
  static func padded(_ ids: [String]) -> [[UInt8]] {
    let width = ids.map(\.utf8.count).max() ?? 0
    return ids.map { Array($0.utf8) + [UInt8](repeating: 0, count: width - $0.utf8.count) }
  }

  static func open(_ ids: [[UInt8]], in directory: TemporaryDirectory) throws -> DatasetSplit {
    var file = SampleFile()
    file.ids = ids
    let path = directory.file("valid.safetensors")
    try file.write(to: path)
    return try DatasetSplit(path: path)
  }

  @Test func areReadAsTheyAre() throws {
    let directory = try TemporaryDirectory()
    // The last two are the same to Unicode and differ in their bytes: they are different ids.
    let ids = ["video[3]", "a,\"b\"\r\nc", "\u{e9}", "e\u{301}"]
    let split = try Self.open(Self.padded(ids), in: directory)
    for (sample, id) in ids.enumerated() { #expect(split.ids.map { Array($0[sample].utf8) } == Array(id.utf8)) }
    #expect(try Self.open([], in: directory).ids == nil)
  }

  @Test func idsOfTwoFilesAreCompared() throws {
    let (one, two) = (try TemporaryDirectory(), try TemporaryDirectory())
    let ids = try #require(try Self.open(Self.padded(["b", "ab", "é", "a"]), in: one).ids)
    for (others, count, first) in [
      (["a", "b", "c", "d"], 2, "a"), (["longer", "é", "b", "a"], 3, "a"), (["bb", "aa", "abc", "e"], 0, ""),
    ] {
      let common = ids.common(with: try #require(try Self.open(Self.padded(others), in: two).ids))
      #expect(common?.count ?? 0 == count && common?.first ?? "" == first, "\(others)")
    }
  }

  static let wrong: [(ids: [[UInt8]], message: String)] = [
    (padded(["x", "yy", "x", "z"]), "a different id for every sample, found 'x' of samples 0 and 2"),
    (padded(["x", "yy", "", "z"]), "found none of sample 2"),
    ([[], [], [], []], "found none of sample 0"),
    ([[120, 0], [121, 0], [122, 255], [97, 98]], "bytes that are not UTF-8, 'z\u{FFFD}' of sample 2"),
    ([[120, 0, 0], [121, 0, 1], [122, 0, 0], [97, 98, 0]], "'y' and more behind a zero byte of sample 1"),
    (padded(["x", "y", "z"]), "tensor 'ids' of shape [4, any], found [3, 1]"),
  ]

  @Test(arguments: wrong.indices) func wrongIDsAreRefused(index: Int) throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: DataError.self) { try Self.open(Self.wrong[index].ids, in: directory) }
    let line = error?.description ?? ""
    #expect(line.contains(Self.wrong[index].message) && line.contains("valid.safetensors: expected"), "\(line)")
  }

  @Test func ofAnotherTypeAreRefused() throws {
    let directory = try TemporaryDirectory()
    var file = SampleFile()
    file.lengths.append((name: "ids", values: [1, 2, 3, 4]))
    let path = directory.file("a.safetensors")
    try file.write(to: path)
    let error = #expect(throws: DataError.self) { try DatasetSplit(path: path) }
    #expect(error?.expected == "tensor 'ids' of type U8" && error?.found == "I32")
  }
}
