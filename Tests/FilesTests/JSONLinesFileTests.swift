import Foundation
import TestSupport
import Testing

@testable import Files

struct JSONLinesFileTests {
  struct Record: Codable, Equatable {
    var name: String
    var value: Double
  }

  @Test func aLineARecord() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("metrics.jsonl")
    try Data("old\n".utf8).write(to: URL(fileURLWithPath: path))
    let file = try JSONLinesFile(path)
    let records = [Record(name: "a/b\n", value: 0.1), Record(name: "ü", value: -3e-20)]
    for (i, record) in records.enumerated() {
      try file.append(record)
      // Each line is in the file at once.
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      #expect(lines.count == i + 1)
      #expect(try JSONDecoder().decode(Record.self, from: Data(lines[i].utf8)) == record)
    }
    try file.append(Record(name: "", value: .nan))
    try file.append(Record(name: "", value: -.infinity))
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(text.hasSuffix("{\"name\":\"\",\"value\":\"NaN\"}\n{\"name\":\"\",\"value\":\"-Infinity\"}\n"), "\(text)")
    #expect(text.hasPrefix("{\"name\":\"a/b\\n\""))
  }

  @Test func goesOnBehindWhatIsKept() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("metrics.jsonl")
    try Data(Self.steps(1...3).utf8).write(to: URL(fileURLWithPath: path))
    let file = try JSONLinesFile(path, keeping: 2 * Self.line, upTo: 2)
    try file.append("x")
    try file.sync()
    #expect(file.length == 2 * Self.line + 4 && file.lack == nil)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == Self.steps(1...2) + "\"x\"\n")
  }

  /// Records that no return to a checkpoint undoes.
  @Test(arguments: [2 * line, 5 * line]) func keepsWhatStays(_ keeping: Int) throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("metrics.jsonl")
    let fault = "{\"event\":\"fault\",\"step\":3}\n"
    let text = Self.steps(1...2) + Self.steps(3...3) + fault + Self.steps(4...4) + fault + "{\"event\":\"fault\""
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let file = try JSONLinesFile(path, keeping: keeping, upTo: 2, andAll: "fault")
    let kept = Self.steps(1...2) + fault + fault
    #expect(file.length == kept.utf8.count && (file.lack == nil) == (keeping == 2 * Self.line))
    #expect(try String(contentsOfFile: path, encoding: .utf8) == kept)
    try file.append("x")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == kept + "\"x\"\n")
  }

  /// A line a step.
  static func steps(_ steps: ClosedRange<Int>) -> String { steps.map { "{\"step\":\($0)}\n" }.joined() }
  static let line = steps(1...1).utf8.count

  /// Contents of a log of which `keeping` bytes up to step 3 are expected, and what is kept of it.
  static let others: [(content: String?, keeping: Int, kept: String, found: String)] = [
    (nil, 3 * line, "", "found none"), ("", 3 * line, "", "found none"),
    (steps(1...2), 3 * line, steps(1...2), "\(2 * line) of them"),
    (steps(1...2) + "{\"st", 3 * line, steps(1...2), "\(2 * line) of them"),
    // A log that began behind a later checkpoint.
    (steps(5...9), 3 * line, "", "0 of them"), (steps(3...9), 3 * line, steps(3...3), "\(line) of them"),
    ("x" + steps(1...4), 3 * line, "", "0 of them"), (steps(1...5), 3 * line + 2, steps(1...3), "\(3 * line) of them"),
  ]

  @Test(arguments: others.indices) func goesOnBehindWhatIsLeft(_ i: Int) throws {
    let (content, keeping, kept, found) = Self.others[i]
    let directory = try TemporaryDirectory()
    let path = directory.file("metrics.jsonl")
    if let content { try Data(content.utf8).write(to: URL(fileURLWithPath: path)) }
    let file = try JSONLinesFile(path, keeping: keeping, upTo: 3)
    #expect(file.lack?.contains(found) == true, "\(file.lack ?? "nothing")")
    #expect(file.length == kept.utf8.count)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == kept)
  }

  @Test func unwritablePathsAreNamed() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: DataError.self) { _ = try JSONLinesFile(directory.file("none/metrics.jsonl")) }
    #expect(error?.description.contains("none/metrics.jsonl") == true)
  }
}
