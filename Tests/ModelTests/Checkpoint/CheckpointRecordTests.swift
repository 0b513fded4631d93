import Foundation
import Testing

@testable import Model

/// Checksums tell that a file is what was written, not that this program wrote it.
struct CheckpointRecordTests {
  func write(_ changes: [String: Any], to path: String) throws {
    let metrics = [Float(1)].withUnsafeBufferPointer {
      EvaluationMetrics(scores: $0, labels: $0, labelNames: ["a"], threshold: 0.25)
    }
    // Any files will do.
    let data = try DatasetFingerprint(files: [#filePath, #filePath, #filePath])
    var position = Checkpoint.Position()
    (position.epoch, position.step) = (2, 1)
    let record = Checkpoint.Record(
      step: 4, position: position, best: Checkpoint.Best(epoch: 1, metrics: metrics),
      configuration: RunConfiguration(for: DatasetShape(of: SyntheticDataset.Settings())),
      data: data, metricsBytes: 0, digestsBytes: nil, seconds: 1)
    var object = try #require(
      try JSONSerialization.jsonObject(with: JSON.encoder().encode(record)) as? [String: Any])
    object.merge(changes) { $1 }
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
  }

  static let impossible: [@Sendable () -> [String: Any]] = [
    { ["step": -1] }, { ["step": 1 << 31] }, { ["position": ["epoch": 0, "step": 0]] },
    { ["position": ["epoch": Int.max, "step": 0]] }, { ["position": ["epoch": 2, "step": -1]] },
    { ["position": ["epoch": 2, "step": 5]] }, { ["best": NSNull()] }, { ["metricsBytes": -1] },
    { ["digestsBytes": -1] }, { ["seconds": -1] }, { ["seconds": "NaN"] }, { ["version": 2] },
    { ["data": ["files": [Any]()]] },
  ]

  @Test(arguments: impossible.indices) func whatNoRunWritesIsRefused(_ i: Int) throws {
    let directory = try TemporaryDirectory()
    try write(Self.impossible[i](), to: directory.file("x"))
    #expect(throws: DataError.self, "\(Self.impossible[i]())") { _ = try Checkpoint(path: directory.file("x")) }
  }
}
