import Foundation
import Testing

@testable import Model

struct RunDirectoryTests {
  func settings() throws -> RunConfiguration {
    let directory = try TemporaryDirectory()
    for split in ["train", "valid", "test"] { try SampleFile().write(to: directory.file(split + ".safetensors")) }
    var c = RunConfiguration(for: try Dataset(directory: directory.path))
    c.seed = .max
    c.optimizer.learningRate = 0.1 + 0.2
    c.model.weights[.betaMSE] = 0.3
    return c
  }

  @Test func configurationRoundTrip() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.file("a/b"))
    try run.create()
    try run.create()
    let settings = try settings()
    try run.write(settings)
    #expect(try run.readConfiguration() == settings)
    #expect(run.configuration == directory.file("a/b/config.json"))
    #expect(run.metrics.hasSuffix("/metrics.jsonl") && run.best.hasSuffix("/best.safetensors"))
    #expect(run.state.hasSuffix("/state.safetensors"))
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
    let settings = try settings()
    let written = message { () throws(DataError) in try run.write(settings) }
    #expect(written.contains("config.json") && written.contains("settings"), "\(written)")
  }

  @Test func unusableSettingsAreNamed() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.path)
    func read() -> String { message { () throws(DataError) in _ = try run.readConfiguration() } }
    #expect(read().contains("config.json"))
    try Data("{".utf8).write(to: URL(fileURLWithPath: run.configuration))
    #expect(read().contains("settings of a finished run"))
    var settings = try settings()
    settings.model.heads = 7
    try run.write(settings)
    #expect(read().contains("not divisible by 7 heads"), "\(read())")
  }
}
