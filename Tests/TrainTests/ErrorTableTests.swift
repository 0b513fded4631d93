import Foundation
import Model
import TestSupport
import Testing

/// docs/ERRORS.md says what the program says: each of its rows that begins with `train` is run.
@Suite struct ErrorTableTests {
  struct Row: Sendable, CustomTestStringConvertible {
    let command: String
    let line: String
    let status: Int32
    var testDescription: String { command }

    /// Of a table's line: what was done, the command, what is seen, the status; nil if it is none of such a table.
    init?(_ text: Substring) {
      let cells = text.split(separator: " | ").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "| `")) }
      guard cells.count == 4, cells[1].contains("train "), let status = Int32(cells[3]) else { return nil }
      (command, line, self.status) = (cells[1], cells[2], status)
    }

    /// Whether the first line that was seen is the row's; "…" stands for anything.
    func matches(_ seen: String) -> Bool {
      let parts = line.components(separatedBy: "…")
      guard parts.count > 1 else { return seen == line }
      var rest = seen[...]
      for part in parts.dropLast() {
        guard let found = part.isEmpty ? rest.startIndex..<rest.startIndex : rest.range(of: part) else { return false }
        rest = rest[found.upperBound...]
      }
      return seen.hasPrefix(parts[0]) && rest.hasSuffix(parts[parts.count - 1])
    }
  }

  static let document = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../docs/ERRORS.md").standardized.path
  static let rows = ((try? String(contentsOfFile: document, encoding: .utf8)) ?? "").split(separator: "\n")
    .compactMap(Row.init)

  /// What the document says is there: my_data, runs/mine, and what each spoiled data set has wrong.
  static let prepared = Result {
    let directory = try TemporaryDirectory()
    func run(_ arguments: [String]) throws {
      let outcome = try Program.run(arguments, in: directory)
      #expect(outcome.status == 0, "\(arguments): \(outcome.error)")
    }
    func put(_ name: String, _ content: String) throws {
      try Data(content.utf8).write(to: URL(fileURLWithPath: directory.file(name)))
    }
    func copy(_ name: String, to copy: String) throws {
      try FileManager.default.copyItem(atPath: directory.file(name), toPath: directory.file(copy))
    }
    try run(["generate", "--output", "my_data"] + Program.tinyData)
    try run(["generate", "--output", "other_labels"] + Program.tinyData + ["--labels", "2"])
    for name in ["mine", "other"] { try run(["run", "--output", "runs/\(name)", "--data", "my_data"] + Program.tiny) }
    try FileManager.default.moveItem(atPath: directory.file("runs/other"), toPath: directory.file("runs/unfinished"))
    try FileManager.default.removeItem(atPath: directory.file("runs/unfinished/result.json"))
    try copy("runs/mine", to: "runs/damaged")
    for name in try FileManager.default.contentsOfDirectory(atPath: directory.file("runs/damaged/checkpoints")) {
      truncate(directory.file("runs/damaged/checkpoints/\(name)"), 5000)
    }
    try FileManager.default.createDirectory(atPath: directory.file("empty"), withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(
      atPath: directory.file("link"), withDestinationPath: "/mnt/unmounted/runs")
    for name in ["cut", "lfs", "page"] { try copy("my_data", to: name) }
    truncate(directory.file("cut/train.safetensors"), 1000)
    try put("lfs/train.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    try put("page/valid.safetensors", "<!DOCTYPE html><html><head><title>Sign in</title></head></html>")
    try put("model.pt", "PK\u{3}\u{4}" + String(repeating: "x", count: 100))
    try put("typo.json", #"{"epoch": 3}"#)
    try put("word.json", #"{"epochs": "three"}"#)
    let spoiled: [(String, @Sendable (inout BadInputTests.SampleData) -> Void)] = [
      ("other_shape", { _ in }), ("nan", { $0.features[1].values[10] = .nan }), ("soft", { $0.labels[3] = 0.5 }),
      ("unlabelled", { $0.labels = [] }), ("zero_length", { $0.lengths?[2] = 0 }),
      ("no_audio", { $0.features.removeLast() }), ("three_names", { $0.labelNames = "calm,tense,other" }),
      ("integers", { $0.featureType = .int32 }),
    ]
    for (name, spoil) in spoiled {
      try FileManager.default.createDirectory(atPath: directory.file(name), withIntermediateDirectories: false)
      for split in ["train", "valid", "test"] {
        var data = BadInputTests.SampleData()
        spoil(&data)
        try data.write(to: directory.file("\(name)/\(split).safetensors"))
      }
    }
    return directory
  }

  @Test func theDocumentHasRows() { #expect(Self.rows.count > 40) }

  @Test(arguments: rows) func whatIsSeen(row: Row) throws {
    let directory = try Self.prepared.get()
    let program = try #require(Program.path)
    // Of rows that run beside this one there are files of what they print.
    func names() throws -> [String] { try directory.names().filter { !$0.hasPrefix("std") } }
    let before = try names()
    // A shell, as people use: `train` is the program.
    let outcome = try Program.run(
      [], in: directory, shell: "PATH=\"$(dirname '\(program)'):$PATH\"; \(row.command)\nexit $?")
    let told = outcome.error.isEmpty ? outcome.output : outcome.error
    let seen = told.split(separator: "\n").first.map(String.init) ?? ""
    #expect(row.matches(seen), "\(row.command)\n  is said to print: \(row.line)\n  prints:           \(seen)")
    #expect(outcome.status == row.status && !outcome.signalled, "\(row.command): \(outcome.status)")
    let left = try Set(names()).subtracting(before)
    #expect(left.isEmpty, "\(row.command) leaves \(left)")
  }
}
