import Foundation
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
    try run.begin(settings)
    #expect(try FileManager.default.contentsOfDirectory(atPath: run.path).sorted() == ["checkpoints", "config.json"])
    #expect(run.checkpoints.files().isEmpty)
    #expect(try run.readConfiguration() == settings)
    #expect(run.configuration == directory.file("a/b/config.json"))
    #expect(run.metrics.hasSuffix("/metrics.jsonl") && run.best.hasSuffix("/best.safetensors"))
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
