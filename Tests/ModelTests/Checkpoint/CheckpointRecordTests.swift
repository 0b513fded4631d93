import Files
import Foundation
import TestSupport
import Testing

@testable import Model

/// Checksums tell that a file is what was written, not that this program wrote it.
struct CheckpointRecordTests {
  func write(_ changes: [String: Any], to path: String, change: (inout [String: Any]) -> Void = { _ in }) throws {
    let metrics = [Float(1)].withUnsafeBufferPointer {
      EvaluationMetrics(scores: $0, labels: $0, labelNames: ["a"], thresholds: [0.25])
    }
    // Any files will do.
    let data = try DatasetFingerprint(files: [#filePath, #filePath, #filePath])
    var position = Checkpoint.Position()
    (position.epoch, position.step, position.skips) = (2, 1, 2)
    let record = Checkpoint.Record(
      step: 4, position: position, best: Checkpoint.Best(epoch: 1, metrics: metrics),
      configuration: RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings())),
      data: data, stepsPerEpoch: 3, metricsBytes: 0, digestsBytes: nil, seconds: 1)
    var object = try #require(
      try JSONSerialization.jsonObject(with: JSON.encoder().encode(record)) as? [String: Any])
    object.merge(changes) { $1 }
    change(&object)
    let text = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
    try [Float(4)].withUnsafeBufferPointer {
      try Checksums.write(
        [TensorSource(name: "step", shape: [1], floats: $0)], metadata: [Checkpoint.metadataKey: text], to: path)
    }
  }

  @Test func aRecordThatARunWrites() throws {
    let directory = try TemporaryDirectory()
    try write([:], to: directory.file("x"))
    #expect(try Checkpoint(path: directory.file("x")).record.position.epoch == 2)
    #expect(try Checkpoint(path: directory.file("x")).record.position.skips == 2)
  }

  /// Before there were skips in a row, a choice of what to do about them, a limit of steps, schedules that start anew.
  @Test func aRecordOfAnEarlierVersion() throws {
    let directory = try TemporaryDirectory()
    func read(step: Int) throws -> Checkpoint.Record {
      try write(["position": ["epoch": 2, "step": step]], to: directory.file("x")) { record in
        record["stepsPerEpoch"] = nil
        var configuration = record["configuration"] as? [String: Any] ?? [:]
        configuration["onNonFinite"] = nil
        var model = configuration["model"] as? [String: Any] ?? [:]
        model["padding"] = nil
        configuration["model"] = model
        configuration["optimizer"] = [
          "learningRate": 1e-3, "warmup": 0.1, "totalSteps": 60, "weightDecay": 0.01, "maximumNorm": 1,
        ]
        record["configuration"] = configuration
      }
      return try Checkpoint(path: directory.file("x")).record
    }
    let record = try read(step: 1)
    #expect(record.position.skips == 0 && !record.position.isEvaluated && record.epochSteps == 3)
    let c = record.configuration
    #expect(c.onNonFinite == .stop && c.model.padding == .packed && c.maxSteps == nil && c.changes == nil)
    #expect(c.optimizer.scheduleStart == nil && c.optimizer.totalSteps == 60)
    // An epoch that has not begun came after an evaluation.
    #expect(try read(step: 0).position.isEvaluated)
  }

  @Test func aSettingsFileOfAnEarlierVersion() throws {
    let directory = try TemporaryDirectory()
    let run = RunDirectory(directory.path)
    let settings = RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings()))
    var object = try #require(
      try JSONSerialization.jsonObject(with: JSON.encoder().encode(settings)) as? [String: Any])
    #expect(object.removeValue(forKey: "onNonFinite") != nil)
    try JSONSerialization.data(withJSONObject: object).write(to: URL(fileURLWithPath: run.configuration))
    #expect(try run.readConfiguration() == settings)
    #expect(try settings.changed(byFile: run.configuration).onNonFinite == .stop)
    // What is there goes before what is absent.
    object["onNonFinite"] = "skip"
    object["maxSteps"] = 7
    try JSONSerialization.data(withJSONObject: object).write(to: URL(fileURLWithPath: run.configuration))
    let read = try run.readConfiguration()
    #expect(read.onNonFinite == .skip && read.maxSteps == 7)
    #expect(try settings.changed(byFile: run.configuration).maxSteps == 7)
  }

  static let impossible: [@Sendable () -> [String: Any]] = [
    { ["step": -1] }, { ["step": 1 << 31] }, { ["position": ["epoch": 0, "step": 0]] },
    { ["position": ["epoch": Int.max, "step": 0]] }, { ["position": ["epoch": 2, "step": -1]] },
    { ["position": ["epoch": 2, "step": 5]] }, { ["best": NSNull()] }, { ["metricsBytes": -1] },
    { ["digestsBytes": -1] }, { ["eventBytes": ["train/x": -1]] }, { ["seconds": -1] }, { ["seconds": "NaN"] },
    { ["version": 2] },
    { ["data": ["files": [Any]()]] }, { ["stepsPerEpoch": -1] },
    { ["position": ["epoch": 2, "step": 1, "skips": 5]] }, { ["position": ["epoch": 2, "step": 1, "skips": -1]] },
    { ["position": ["epoch": 1, "step": 1, "evaluated": true], "best": NSNull()] },
  ]

  @Test(arguments: impossible.indices) func whatNoRunWritesIsRefused(_ i: Int) throws {
    let directory = try TemporaryDirectory()
    try write(Self.impossible[i](), to: directory.file("x"))
    #expect(throws: DataError.self, "\(Self.impossible[i]())") { _ = try Checkpoint(path: directory.file("x")) }
  }
}
