import Foundation
import TestSupport
import Testing

/// Outputs that are symbolic links, and paths that are no text.
@Suite struct PathTests {
  static let run = ["run", "--output", "r"] + Program.tiny + Program.tinyData
  static let scale =
    ["scale", "--output", "r", "--workers", "1", "--repeats", "1", "--timed-steps", "1", "--mode", "strong"]
    + StreamTests.sizes
  static let generate = ["generate", "--output", "r"] + Program.tinyData

  func link(_ name: String, to target: String, in directory: TemporaryDirectory) throws {
    try FileManager.default.createSymbolicLink(atPath: directory.file(name), withDestinationPath: target)
  }

  func target(_ name: String, in directory: TemporaryDirectory) -> String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: directory.file(name))
  }

  @Test(arguments: [
    (run, ["config.json", "best.safetensors", "data"]), (scale, ["scaling.jsonl", "scaling.csv"]),
    (generate, ["train.safetensors"]),
  ])
  func aLinkToADirectory(arguments: [String], files: [String]) throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("disk/real"), withIntermediateDirectories: true)
    try link("r", to: "disk/real", in: directory)
    let outcome = try Program.run(arguments, in: directory)
    #expect(outcome.status == 0, "\(outcome.error)")
    for file in files { #expect(directory.exists("disk/real/\(file)"), "\(file)") }
    #expect(target("r", in: directory) == "disk/real")
  }

  @Test(arguments: [run, scale, generate], ["r", "r/below"])
  func aLinkThatLeadsNowhere(arguments: [String], output: String) throws {
    let directory = try TemporaryDirectory()
    try link("r", to: "unmounted/real", in: directory)
    let outcome = try Program.run(arguments.map { $0 == "r" ? output : $0 }, in: directory)
    #expect(outcome.status == 73, "\(outcome)")
    #expect(outcome.error.contains("r is a symbolic link to unmounted/real, which is not there"), "\(outcome.error)")
    #expect(outcome.error.split(separator: "\n").count == 1)
    #expect(try directory.names() == ["r"] && target("r", in: directory) == "unmounted/real")
  }

  /// A file goes where the link at its path leads.
  @Test func linksInThePlaceOfFiles() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run, in: directory).status == 0)
    let bench = ["bench", "--timed-steps", "1", "--trace", "out"] + StreamTests.sizes
    for (arguments, content) in [
      (["predict", "r", "--data", "r/data", "--output", "out"], "sample,"), (bench, "{"),
    ] {
      for isThere in [true, false] {
        try FileManager.default.createDirectory(atPath: directory.file("far"), withIntermediateDirectories: false)
        if isThere { try Data("old".utf8).write(to: URL(fileURLWithPath: directory.file("far/file"))) }
        try link("out", to: "between", in: directory)
        try link("between", to: directory.file("far/file"), in: directory)
        let outcome = try Program.run(arguments, in: directory)
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(try String(contentsOfFile: directory.file("far/file"), encoding: .utf8).hasPrefix(content))
        #expect(target("out", in: directory) == "between")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.file("far")) == ["file"])
        for name in ["far", "out", "between"] { try FileManager.default.removeItem(atPath: directory.file(name)) }
      }
      try link("out", to: "loop", in: directory)
      try link("loop", to: "out", in: directory)
      let outcome = try Program.run(arguments, in: directory)
      #expect(outcome.status == 73 && outcome.error.contains("out: expected"), "\(outcome)")
      #expect(target("out", in: directory) == "loop")
      for name in ["out", "loop"] { try FileManager.default.removeItem(atPath: directory.file(name)) }
    }
    // Within a directory too: a table that lies elsewhere stays there.
    try FileManager.default.createDirectory(atPath: directory.file("s"), withIntermediateDirectories: false)
    try link("s/scaling.csv", to: "../table.csv", in: directory)
    #expect(try Program.run(Self.scale.map { $0 == "r" ? "s" : $0 }, in: directory).status == 0)
    #expect(directory.exists("table.csv") && target("s/scaling.csv", in: directory) == "../table.csv")
  }

  /// What Swift makes of bytes that are no text is the name of another file.
  @Test func anArgumentThatIsNotText() throws {
    let directory = try TemporaryDirectory()
    let outcome = try Program.run(
      Self.run, in: directory, shell: "set -- \"$@\" --output \"$(printf 'caf\\351')\"")
    #expect(outcome.status == 64 && outcome.output.isEmpty, "\(outcome)")
    #expect(outcome.error.contains("is not UTF-8") && outcome.error.split(separator: "\n").count == 1)
    #expect(try directory.names() == [])
  }

  /// There config.json could not say where the data are; a run without data of its own records no place.
  @Test func aWorkingDirectoryThatIsNotText() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory).status == 0)
    let enter = "d=$(printf 'caf\\351'); mkdir -p \"$d\"; cd \"$d\""
    let refused = try Program.run(
      ["run", "--output", "r", "--data", "../d"] + Program.tiny, in: directory, shell: enter)
    #expect(refused.status == 65 && refused.error.contains("a working directory whose path is UTF-8"), "\(refused)")
    for data in [Program.tinyData, ["--data", directory.file("d")]] {
      let outcome = try Program.run(
        ["run", "--output", "r"] + Program.tiny + data, in: directory, shell: enter + "; rm -rf r")
      #expect(outcome.status == 0, "\(outcome.error)")
    }
    #expect(try Program.run(["digest", "r"], in: directory, shell: enter).status == 0)
  }
}
