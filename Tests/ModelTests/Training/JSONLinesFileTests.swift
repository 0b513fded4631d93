import Foundation
import Testing

@testable import Model

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
    try Data("1\n2\n3\n".utf8).write(to: URL(fileURLWithPath: path))
    let file = try JSONLinesFile(path, keeping: 4)
    try file.append("x")
    try file.sync()
    #expect(file.length == 8)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "1\n2\n\"x\"\n")
    let error = #expect(throws: DataError.self) { _ = try JSONLinesFile(path, keeping: 9) }
    #expect(error?.description.contains("at least the 9 bytes") == true)
  }

  @Test func unwritablePathsAreNamed() throws {
    let directory = try TemporaryDirectory()
    let error = #expect(throws: DataError.self) { _ = try JSONLinesFile(directory.file("none/metrics.jsonl")) }
    #expect(error?.description.contains("none/metrics.jsonl") == true)
  }
}
