import Files
import Foundation
import TestSupport
import Testing

@testable import Model

struct RunDirectoryTests {
  func settings() throws -> RunConfiguration {
    let directory = try TemporaryDirectory()
    for split in ["train", "valid", "test"] { try SampleFile().write(to: directory.file(split + ".safetensors")) }
    var c = RunConfiguration(for: DatasetShape(of: try Dataset(directory: directory.path).train))
    c.seed = .max
    c.optimizer.learningRate = 0.1 + 0.2
    c.model.weights[.betaMSE] = 0.3
    return c
  }

  @Test func configurationRoundTrip() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.file("a/b"))
    try run.requireWritable()
    #expect(!FileManager.default.fileExists(atPath: run.path))
    try run.create()
    let settings = try settings()
    // What an earlier run left goes, the settings come.
    try run.checkpoints.create()
    let partial = run.best + ".1-2" + DurableFile.temporarySuffix
    for file in [run.best, run.result, run.metrics, run.digests, run.checkpoints.file(3), partial] {
      try Data().write(to: URL(fileURLWithPath: file))
    }
    try FileManager.default.createDirectory(atPath: run.path + "/tensorboard/valid", withIntermediateDirectories: true)
    try Data().write(to: URL(fileURLWithPath: run.path + "/tensorboard/valid/events.out.tfevents.1.host.2"))
    try run.begin(settings)
    #expect(try FileManager.default.contentsOfDirectory(atPath: run.path).sorted() == ["checkpoints", "config.json"])
    #expect(run.checkpoints.files().isEmpty)
    #expect(try run.readConfiguration() == settings)
    #expect(run.configuration == directory.file("a/b/config.json"))
    #expect(run.metrics.hasSuffix("/metrics.jsonl") && run.best.hasSuffix("/best.safetensors"))
  }

  /// Files of other programs may end as ours do.
  @Test func onlyTemporariesOfOursAreRemoved() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.path)
    for name in ["film.part", "best.safetensors.12-0af.part"] {
      try Data().write(to: URL(fileURLWithPath: directory.file(name)))
    }
    try run.begin(try settings())
    #expect(try directory.names() == ["checkpoints", "config.json", "film.part"])
  }

  @Test(arguments: ["result.json", "best.safetensors", "config.json", "metrics.jsonl", "digests.jsonl", "checkpoints"])
  func nothingIsReplacedUnasked(_ name: String) throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.path)
    #expect(message { () throws(DataError) in try run.requireReplaceable() } == "nothing thrown")
    if name == "checkpoints" {
      try run.checkpoints.create()
      try Data().write(to: URL(fileURLWithPath: run.checkpoints.file(3)))
    } else {
      try Data("{}".utf8).write(to: URL(fileURLWithPath: directory.file(name)))
    }
    for isResumed in [false, true] {
      let text = message { () throws(DataError) in try run.requireReplaceable(isResumed: isResumed) }
      #expect(text.contains(name) && text.contains("--overwrite"), "\(text)")
    }
  }

  /// A run that was killed before its first checkpoint: nothing is lost but what --resume auto makes again.
  @Test func whatCameToNothingIsStartedAnew() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.path)
    try run.begin(try settings())
    try Data("{}".utf8).write(to: URL(fileURLWithPath: run.metrics))
    #expect(message { () throws(DataError) in try run.requireReplaceable() } == "nothing thrown")
    try Data().write(to: URL(fileURLWithPath: run.best))
    #expect(message { () throws(DataError) in try run.requireReplaceable() }.contains("best.safetensors"))
    #expect(message { () throws(DataError) in try run.requireReplaceable(isResumed: true) } == "nothing thrown")
  }

  @Test func ownDirectoriesAreUnlikeAnyOther() throws {
    let files = try TemporaryDirectory()
    let name = try #require(RunDirectory.named(by: Date(timeIntervalSince1970: 0)).path.split(separator: "/").last)
    #expect(name.wholeMatch(of: /[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{6}/) != nil, "\(name)")
    let wish = RunDirectory(files.file("runs/\(name)"))
    let (first, second) = (try wish.makeOwn(), try wish.makeOwn())
    #expect(first.path == wish.path && second.path == wish.path + "-2")
    let latest = RunDirectory(files.file("runs/latest"))
    #expect(!latest.isThere && first.becomeLatest() == nil && latest.followed.path == first.path)
    #expect(second.becomeLatest() == nil && latest.followed.path == second.path)
    try FileManager.default.removeItem(atPath: second.path)
    // A link to nothing is not followed: what it leads to may be on a disk that is not mounted.
    #expect(latest.isThere && latest.followed.path == latest.path)
    #expect(throws: DataError.self) { try latest.create() }
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.file("runs")).count == 2)
  }

  @Test func aDirectoryOfTheLinksNameStays() throws {
    let files = try TemporaryDirectory()
    try RunDirectory(files.file("runs/latest")).create()
    let own = try RunDirectory(files.file("runs/x")).makeOwn()
    #expect(own.becomeLatest()?.contains("is left as it is") == true)
    #expect(RunDirectory(files.file("runs/latest")).followed.path == files.file("runs/latest"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: files.file("runs")).sorted() == ["latest", "x"])
  }

  func message(_ body: () throws(DataError) -> Void) -> String {
    do {
      try body()
      return "nothing thrown"
    } catch {
      return error.description
    }
  }

  @Test func unusableDirectoriesAreNamed() throws {
    let directory = try TemporaryDirectory()
    try Data("x".utf8).write(to: URL(fileURLWithPath: directory.file("file")))
    let run = RunDirectory(directory.file("file/run"))
    let text = message { () throws(DataError) in try run.create() }
    #expect(text.contains(run.path) && text.contains("a directory that can be written"), "\(text)")
    let asked = message { () throws(DataError) in try run.requireWritable() }
    #expect(asked.contains("file is a file"), "\(asked)")
  }

  @Test func unusableSettingsAreNamed() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.path)
    func read() -> String { message { () throws(DataError) in _ = try run.readConfiguration() } }
    #expect(read().contains("config.json"))
    try Data("{".utf8).write(to: URL(fileURLWithPath: run.configuration))
    #expect(read().contains("the settings of a run"))
    var settings = try settings()
    settings.model.heads = 7
    try run.begin(settings)
    #expect(read().contains("not divisible by 7 heads"), "\(read())")
  }
}
