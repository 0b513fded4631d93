import Files
import Foundation
import TestSupport
import Testing

@testable import Model

struct RunConfigurationFileTests {
  let base = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))

  func read(_ text: String) throws -> RunConfiguration {
    let directory = try TemporaryDirectory()
    try Data(text.utf8).write(to: URL(fileURLWithPath: directory.file("c.json")))
    return try base.changed(byFile: directory.file("c.json"))
  }

  @Test func allSettingsComeBackUnchanged() throws {
    var settings = base
    settings.seed = .max
    settings.optimizer.learningRate = 0.1 + 0.2
    settings.model.dropout = 0.3
    settings.model.weights[.betaMSE] = 0.7
    settings.model.modalities[2].layers = 9
    settings.model.modalities[1].alignedSteps = 50
    settings.maxSteps = 9
    settings.onNonFinite = .skip
    settings.data = .generated(SyntheticDataset.Settings())
    #expect(try read(JSON.line(settings)) == settings)
    settings.data = .directory("/x y/ü")
    #expect(try read(JSON.line(settings)) == settings)
  }

  /// It is that of the run that wrote the file.
  @Test func aHistoryIsNoSetting() throws {
    var settings = base
    settings.optimizer.scheduleStart = ScheduleStart(step: 3)
    settings.changes = [.init(step: 3, settings: ["--epochs was 1, is 2"])]
    let directory = try TemporaryDirectory()
    let path = directory.file("c.json")
    try Data(JSON.line(settings).utf8).write(to: URL(fileURLWithPath: path))
    let read = try base.changed(byFile: path)
    #expect(read.optimizer.scheduleStart == nil && read.changes == nil)
    #expect(try RunConfiguration.hasChanges(inFile: path) && RunConfiguration.hasEpochs(inFile: path))
  }

  @Test func someChangeSome() throws {
    let settings = try read(#"{"batchSize": 32, "model": {"hiddenSize": 64, "weights": {"contrastive": 0}}}"#)
    var expected = base
    expected.batchSize = 32
    expected.model.hiddenSize = 64
    expected.model.weights[.contrastive] = 0
    expected.data = settings.data
    #expect(settings == expected)
  }

  @Test(arguments: [
    (#"{"model": {"hidenSize": 64}}"#, "'model.hidenSize'"), (#"{"batchSize": "x"}"#, "batchSize"),
    ("[1]", "JSON object"),
    ("{", "JSON object"), (#"{"batchSize": 1.5}"#, "JSON object"), (#"{"labelNames": ["a"]}"#, "labels"),
    (#"{"model": {"modalities": []}}"#, "modalities"), (#"{"model": {"anchors": "some"}}"#, "anchors"),
  ])
  func whatIsWrongIsNamed(text: String, word: String) {
    let error = #expect(throws: DataError.self) { _ = try read(text) }
    #expect(error?.description.contains(word) == true, "\(String(describing: error))")
  }

  /// Files of earlier versions say how a batch is cut; that has no effect.
  @Test func shardsHaveNoEffect() throws {
    let settings = try read(#"{"batchSize": 32, "shards": 3}"#)
    #expect(settings.batchSize == 32 && settings.contradiction == nil)
    #expect(throws: DataError.self) { _ = try read(#"{"shard": 3}"#) }
  }

  @Test(arguments: [Int.max, Int.min, 0]) func impossibleSizesAreRefused(_ size: Int) throws {
    let settings = try read(
      #"{"batchSize": \#(size), "model": {"queueSize": \#(size)}}"#)
    #expect(settings.contradiction != nil)
  }

  @Test(arguments: [
    (#""steps": []"#, "as many names"), (#""labels": -1"#, "1 to 16 labels"),
    (#""labels": 1000000000000"#, "1 to 16 labels"),
  ])
  func impossibleDataToGenerateAreRefused(change: String, word: String) throws {
    let directory = try TemporaryDirectory()
    let name = try #require(change.split(separator: ":").first)
    let text = try JSON.line(["generated": SyntheticDataset.Settings()])
      .replacing(try Regex("\(name):(\\[[^\\]]*\\]|[^,}]*)"), with: change)
    try Data(#"{"data": \#(text)}"#.utf8).write(to: URL(fileURLWithPath: directory.file("c.json")))
    let error = #expect(throws: DataError.self) {
      _ = try RunConfiguration.dataSource(inFile: directory.file("c.json"))
    }
    #expect(error?.description.contains(word) == true, "\(String(describing: error))")
  }

  /// Reading a pipe would wait for a writer.
  @Test func aPipeIsNoFileOfSettings() throws {
    let directory = try TemporaryDirectory()
    mkfifo(directory.file("config.json"), 0o600)
    #expect(throws: DataError.self) { _ = try base.changed(byFile: directory.file("config.json")) }
    #expect(throws: DataError.self) { _ = try RunConfiguration.dataSource(inFile: directory.file("config.json")) }
    #expect(throws: DataError.self) { _ = try RunDirectory(directory.path).readConfiguration() }
  }

  @Test func aHugeFileIsNotRead() throws {
    let directory = try TemporaryDirectory()
    try Data().write(to: URL(fileURLWithPath: directory.file("config.json")))
    #expect(truncate(directory.file("config.json"), 1 << 40) == 0)
    let error = #expect(throws: DataError.self) { _ = try RunDirectory(directory.path).readConfiguration() }
    #expect(error?.description.contains("16777216 bytes") == true)
  }
}
