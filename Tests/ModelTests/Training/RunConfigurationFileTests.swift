import Foundation
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
    settings.data = .generated(SyntheticDataset.Settings())
    #expect(try read(JSON.line(settings)) == settings)
    settings.data = .directory("/x y/ü")
    #expect(try read(JSON.line(settings)) == settings)
  }

  @Test func someChangeSome() throws {
    let settings = try read(#"{"batchSize": 32, "model": {"hiddenSize": 64, "weights": {"contrastive": 0}}}"#)
    var expected = base
    expected.batchSize = 32
    expected.model.hiddenSize = 64
    expected.model.weights[.contrastive] = 0
    expected.shards = expected.defaultShards
    expected.data = settings.data
    #expect(settings == expected)
  }

  @Test(arguments: [
    (#"{"model": {"hidenSize": 64}}"#, "'model.hidenSize'"), (#"{"batchSize": "x"}"#, "batchSize"),
    ("[1]", "JSON object"),
    ("{", "JSON object"), (#"{"batchSize": 1.5}"#, "batchSize"), (#"{"labelNames": ["a"]}"#, "labels"),
    (#"{"model": {"modalities": []}}"#, "modalities"), (#"{"model": {"anchors": "some"}}"#, "anchors"),
  ])
  func whatIsWrongIsNamed(text: String, word: String) {
    let error = #expect(throws: DataError.self) { _ = try read(text) }
    #expect(error?.description.contains(word) == true, "\(String(describing: error))")
  }
}
