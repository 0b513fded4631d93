import Foundation
import TestSupport
import Testing

/// Where runs write, and what they leave alone.
@Suite struct OutputDirectoryTests {
  static let run = ["run", "--json"] + Program.tiny + Program.tinyData

  /// Names in runs/, but for the link.
  func runs(_ directory: TemporaryDirectory) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory.file("runs")).filter { $0 != "latest" }.sorted()
  }

  func latest(_ directory: TemporaryDirectory) throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: directory.file("runs/latest"))
  }

  @Test func withoutOutputEachRunHasADirectoryOfItsOwn() throws {
    let directory = try TemporaryDirectory()
    for count in 1...2 {
      let outcome = try Program.run(Self.run, in: directory)
      #expect(outcome.status == 0 && outcome.error.isEmpty, "\(outcome)")
      let names = try runs(directory)
      #expect(names.count == count)
      #expect(try latest(directory) == names.last)
      #expect(outcome.output.contains("files in runs/\(names.last ?? "")"), "\(outcome.output)")
    }
    // The commands that follow take the link.
    #expect(try Program.run(["evaluate", "runs/latest", "--data", "runs/latest/data"], in: directory).status == 0)
    let verified = try Program.run(["verify", "runs/latest"], in: directory)
    #expect(verified.status == 0 && verified.lines.count == 5, "\(verified)")
  }

  @Test func fourThatStartAtOnce() throws {
    let directory = try TemporaryDirectory()
    let running = try (1...4).map { try Program.Running(Self.run + ["--seed", "\($0)"], in: directory) }
    let digests = Set(try running.map { try $0.end().json["digest"] as? String ?? "" })
    #expect(digests.count == 4 && !digests.contains(""))
    let names = try runs(directory)
    #expect(names.count == 4)
    #expect(try names.contains(latest(directory)))
    let found = try names.map { try Program.run(["digest", "runs/" + $0], in: directory).lines.first ?? "" }
    #expect(Set(found) == digests)
  }

  @Test func resumeWithoutOutputTakesTheLatest() throws {
    let directory = try TemporaryDirectory()
    let none = try Program.run(["run", "--resume"], in: directory)
    #expect(none.status == 65 && none.error.contains("runs/latest"), "\(none.error)")
    #expect(try directory.names() == [])
    // A job's line, at its first start and at a later one.
    let job = Self.run + ["--resume", "auto"]
    let first = try Program.run(job, in: directory)
    let again = try Program.run(job, in: directory)
    #expect(first.status == 0 && again.status == 0, "\(again)")
    #expect(try runs(directory).count == 1)
    #expect(
      again.output.contains("finished after step 4")
        && again.json["digest"] as? String == first.json["digest"] as? String)
    let more = try Program.run(
      ["run", "--resume", "--allow-changed", "epochs", "--epochs", "3", "--json"], in: directory)
    #expect(more.json["steps"] as? Int == 6, "\(more)")
    #expect(try runs(directory).count == 1)
  }

  /// A run keeps to its directory, wherever the link leads meanwhile.
  @Test func theLinkMayMoveDuringARun() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run, in: directory).status == 0)
    let first = try latest(directory)
    let resumed = try Program.Running(
      ["run", "--resume", "--json", "--allow-changed", "epochs", "--epochs", "100000", "--checkpoint-every", "1"],
      in: directory)
    while resumed.isRunning, !resumed.output.contains("epoch ") { usleep(2000) }
    #expect(try Program.run(Self.run + ["--seed", "2"], in: directory).status == 0)
    let second = try latest(directory)
    let digest = try Program.run(["digest", "runs/latest"], in: directory).output
    kill(resumed.identifier, SIGTERM)
    let outcome = try resumed.end()
    #expect((outcome.json["checkpoint"] as? String)?.hasPrefix("runs/\(first)/checkpoints/") == true, "\(outcome)")
    #expect(first != second)
    #expect(try Program.run(["digest", "runs/\(second)"], in: directory).output == digest)
  }

  @Test func aLinkToARunThatWasRemovedIsNoRun() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run, in: directory).status == 0)
    let first = try latest(directory)
    try FileManager.default.removeItem(atPath: directory.file("runs/" + first))
    let again = try Program.run(Self.run + ["--resume", "auto"], in: directory)
    #expect(again.status == 0, "\(again.error)")
    #expect(try runs(directory) == [latest(directory)])
  }

  /// Scores and traces never take the place of samples, weights or what else a run wrote.
  @Test(arguments: ["r/best.safetensors", "r/metrics.jsonl", "r/data/test.safetensors", "r/data/train.safetensors"])
  func textReplacesNoData(file: String) throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run + ["--output", "r"], in: directory).status == 0)
    let before = try Data(contentsOf: URL(fileURLWithPath: directory.file(file)))
    try FileManager.default.createSymbolicLink(atPath: directory.file("link"), withDestinationPath: file)
    for path in [file, "link"] {
      let outcome = try Program.run(["predict", "r", "--data", "r/data", "--output", path], in: directory)
      #expect(outcome.status == 73 && outcome.error.contains("\(path): expected a place for text"), "\(outcome)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: directory.file(file))) == before)
    }
    let old = try Program.run(["predict", "r", "--data", "r/data", "--output", "scores.csv"], in: directory)
    let new = try Program.run(["predict", "r", "--data", "r/data", "--output", "scores.csv"], in: directory)
    #expect(old.status == 0 && new.status == 0)
  }

  @Test func anOldLatestStays() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run + ["--output", "runs/latest"], in: directory).status == 0)
    let before = try Program.run(["digest", "runs/latest"], in: directory).output
    let outcome = try Program.run(Self.run + ["--seed", "2"], in: directory)
    let name = try #require(try runs(directory).first)
    #expect(outcome.status == 0 && outcome.error.contains("runs/latest is no link") && outcome.error.contains(name))
    #expect(outcome.error.split(separator: "\n").count == 1, "\(outcome.error)")
    #expect(try Program.run(["digest", "runs/latest"], in: directory).output == before)
  }

  @Test func aRunThatCannotStartLeavesNothing() throws {
    let directory = try TemporaryDirectory()
    let weights = try Program.run(Self.run + ["--init", "none.safetensors"], in: directory)
    #expect(weights.status == 65)
    let settings = try Program.run(Self.run + ["--heads", "3"], in: directory)
    #expect(settings.status == 64)
    #expect(try directory.names() == [])
    try Data("x".utf8).write(to: URL(fileURLWithPath: directory.file("runs")))
    let file = try Program.run(Self.run, in: directory)
    #expect(
      file.status == 73 && file.error.contains("runs is a file") && file.error.contains("--output"), "\(file.error)")
    let useless = try Program.run(Self.run + ["--overwrite"], in: directory)
    #expect(useless.status == 64 && useless.error.contains("--output"), "\(useless.error)")
  }

  @Test(arguments: ["config.json", "best.safetensors", "metrics.jsonl", "lock"])
  func filesOfOthersStay(_ name: String) throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("r"), withIntermediateDirectories: false)
    try Data("{\"precious\": 1}".utf8).write(to: URL(fileURLWithPath: directory.file("r/" + name)))
    for more in [[], ["--resume", "auto"]] {
      let outcome = try Program.run(Self.run + ["--output", "r"] + more, in: directory)
      #expect(outcome.status == 73 && outcome.error.contains("r/" + name), "\(outcome)")
      #expect(outcome.error.split(separator: "\n").count == 1)
      let names = try FileManager.default.contentsOfDirectory(atPath: directory.file("r"))
      #expect(names.allSatisfy { $0 == name || $0 == "lock" }, "\(names)")
      #expect(try String(contentsOfFile: directory.file("r/" + name), encoding: .utf8) == "{\"precious\": 1}")
    }
    let asked = try Program.run(Self.run + ["--output", "r", "--overwrite"], in: directory)
    #expect(asked.status == (name == "lock" ? 73 : 0), "\(asked)")
  }

  /// Its checkpoints were removed to make room: the rest is worth something.
  @Test func aFinishedRunWithoutCheckpointsStays() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run + ["--output", "r"], in: directory).status == 0)
    try FileManager.default.removeItem(atPath: directory.file("r/checkpoints"))
    let outcome = try Program.run(Self.run + ["--output", "r", "--resume", "auto"], in: directory)
    #expect(outcome.status == 73 && outcome.error.contains("r/result.json"), "\(outcome)")
    #expect(directory.exists("r/best.safetensors"))
  }

  /// As a job that Slurm queued again once more than it had to.
  @Test func aFinishedRunSaysItsResultAgain() throws {
    let directory = try TemporaryDirectory()
    let job = Self.run + ["--output", "r", "--resume", "auto", "--requeue-exit", "85"]
    let first = try Program.run(job, in: directory)
    let files = ["r/result.json", "r/metrics.jsonl", "r/best.safetensors", "r/config.json"]
    func contents() throws -> [Data] {
      try files.map { try Data(contentsOf: URL(fileURLWithPath: directory.file($0))) }
    }
    let before = try contents()
    let again = try Program.run(job + ["--workers", "1"], in: directory)
    #expect(again.status == 0 && again.error.isEmpty, "\(again)")
    #expect(NSDictionary(dictionary: again.json) == NSDictionary(dictionary: first.json))
    for start in ["test (epoch ", "digest "] {
      #expect(again.lines.first { $0.hasPrefix(start) } == first.lines.first { $0.hasPrefix(start) })
    }
    #expect(try contents() == before)
    // Killed between its last checkpoint and its result it is tested again; what was lost is written again.
    for name in ["r/result.json", "r/best.safetensors", "r/config.json"] {
      try FileManager.default.removeItem(atPath: directory.file(name))
      let tested = try Program.run(job, in: directory)
      #expect(tested.status == 0 && tested.json["digest"] as? String == first.json["digest"] as? String, "\(tested)")
      #expect(directory.exists(name))
    }
  }

  @Test func checkpointsAloneAreEnough() throws {
    let directory = try TemporaryDirectory()
    let first = try Program.run(Self.run + ["--output", "r", "--checkpoint-every", "1", "--keep", "9"], in: directory)
    try FileManager.default.createDirectory(atPath: directory.file("s"), withIntermediateDirectories: false)
    try FileManager.default.copyItem(atPath: directory.file("r/checkpoints"), toPath: directory.file("s/checkpoints"))
    let newest = try FileManager.default.contentsOfDirectory(atPath: directory.file("s/checkpoints")).sorted()
    for name in newest.dropFirst() {
      try FileManager.default.removeItem(atPath: directory.file("s/checkpoints/" + name))
    }
    // The data are generated again; one warning tells of the log.
    let second = try Program.run(["run", "--output", "s", "--resume", "auto", "--json"], in: directory)
    #expect(second.status == 0 && second.json["digest"] as? String == first.json["digest"] as? String, "\(second)")
    #expect(
      second.error.split(separator: "\n").count == 1 && second.error.contains("s/metrics.jsonl"), "\(second.error)")
    #expect(try Program.run(["verify", "s"], in: directory).status == 0)
    try FileManager.default.removeItem(atPath: directory.file("r/metrics.jsonl"))
    try FileManager.default.removeItem(atPath: directory.file("r/result.json"))
    let third = try Program.run(Self.run + ["--output", "r", "--resume", "auto"], in: directory)
    #expect(third.json["digest"] as? String == first.json["digest"] as? String, "\(third)")
    #expect(third.error.contains("r/metrics.jsonl: expected") && third.error.contains("found none"), "\(third.error)")
  }
}
