import Foundation
import Parallel
import Tensor

@testable import Files
@testable import Model

/// Valid inputs, as small as can be, from which mutations start.
enum Samples {
  /// A run with every kind of setting.
  static var run: RunConfiguration {
    var data = SyntheticDataset.Settings()
    (data.train, data.modalities, data.steps, data.features, data.labels) = (8, ["text", "audio"], [2, 3], [2, 1], 2)
    var run = RunConfiguration(for: DatasetShape(of: data))
    run.model = model(run.model)
    run.model.modalities[1].alignedSteps = 2
    run.batchSize = 4
    run.data = .generated(data)
    return run
  }

  private static func model(_ configuration: ModelConfiguration) -> ModelConfiguration {
    var c = configuration
    for m in c.modalities.indices { c.modalities[m].layers = 0 }
    (c.hiddenSize, c.heads, c.feedForwardSize, c.latentSize, c.queueSize) = (2, 1, 2, 1, 2)
    return c
  }

  static func state() throws -> TrainingState {
    var c = model(
      ModelConfiguration(modalities: [.init(name: "text", features: 2, maximumSteps: 2, layers: 0)], labels: 1))
    c.queueKeys = .momentum
    let state = try TrainingState(CARATModel(c), placement: Placement(.current(), workers: 1))
    state.initialize(seed: 1)
    return state
  }

  /// A checkpoint's record after an epoch, as JSON.
  private static func record() throws -> String {
    let scores: [Float] = [0.5, 0.25], labels: [Float] = [1, 0]
    let metrics = scores.withUnsafeBufferPointer { scores in
      labels.withUnsafeBufferPointer {
        EvaluationMetrics(scores: scores, labels: $0, labelNames: ["a", "b"], thresholds: [0.25, 0.25])
      }
    }
    var position = Checkpoint.Position()
    position.epoch = 2
    return try JSON.line(
      Checkpoint.Record(
        step: 2, position: position, best: Checkpoint.Best(epoch: 1, metrics: metrics), configuration: run,
        data: DatasetFingerprint(files: []), stepsPerEpoch: 2, metricsBytes: 10, digestsBytes: nil, seconds: 1))
  }

  static func writeCheckpoint(record: String, to path: String) throws {
    try withTensor("step", [1], [2]) {
      try Checksums.write([$0], metadata: ["format": "pt", Checkpoint.metadataKey: record], to: path)
    }
  }

  /// The recorder's settings, as it writes them.
  private static let settings = """
    {"feature_sizes": [2, 1, 1], "max_positions": [2, 1, 1], "layers": [0, 0, 0], "hidden": 2, "heads": 1, \
    "intermediate": 2, "labels": 1, "latent": 1, "queue": 2, "prototype_momentum": 0.99, "temperature": 0.07, \
    "aligned": true, "aligned_length": 1, "anchors": "all", "weights": {"contrastive": 1.0, "plain_bce": 0.01}, \
    "lr": 0.001, "warmup": 0.1, "total": 4, "steps": 1, "weight_decay": 0.01, "queue_keys": "live", \
    "key_momentum": 0.999}
    """

  static func writeGolden(settings: String, to path: String) throws {
    func write(_ rest: [(String, SafetensorsElement, [Int], [UInt32])], _ tensors: [TensorSource]) throws {
      guard let (name, element, shape, words) = rest.first else {
        let metadata = ["format": "carat-golden-1", "config": settings]
        return try SafetensorsWriter(tensors: tensors, metadata: metadata).write(to: path)
      }
      try words.withUnsafeBytes { bytes in
        let tensor = TensorSource(name: "step0." + name, element: element, shape: shape, bytes: bytes)
        try write(Array(rest.dropFirst()), tensors + [tensor])
      }
    }
    let one = Float(1).bitPattern
    try write(
      [
        ("labels", .float32, [2, 1], [one, 0]), ("text", .float32, [2, 2, 2], .init(repeating: one, count: 8)),
        ("text_mask", .float32, [2, 2], [one, one, one, 0]), ("visual", .float32, [2, 1, 1], [one, one]),
        ("visual_mask", .float32, [2, 1], [one, one]), ("audio", .float32, [2, 1, 1], [one, one]),
        ("audio_mask", .float32, [2, 1], [one, one]), ("sample_permutation", .int32, [2, 3, 1], [0, 1, 0, 1, 0, 1]),
        ("modality_permutation", .int32, [2, 3, 1], [0, 1, 2, 2, 1, 0]),
      ], [])
  }

  private static func withTensor(
    _ name: String, _ shape: [Int], _ values: [Float], _ body: (TensorSource) throws -> Void
  )
    throws
  {
    try values.withUnsafeBufferPointer { try body(TensorSource(name: name, shape: shape, floats: $0)) }
  }

  /// Two samples of all modalities.
  private static func writeSplit(to path: String) throws {
    let metadata = ["label_names": "calm, tense"]
    try withTensor("text", [2, 2, 1], [1, 2, 3, 4]) { text in
      try withTensor("visual", [2, 1, 1], [1, 2]) { visual in
        try withTensor("audio", [2, 1, 1], [-.infinity, 2]) { audio in
          try withTensor("labels", [2, 2], [0, 1, 1, 0]) { labels in
            let lengths: [Int32] = [1, 2]
            try lengths.withUnsafeBufferPointer {
              let lengths = TensorSource(name: "text_length", shape: [2], int32s: $0)
              try Array("a\0bc".utf8).withUnsafeBytes {
                let ids = TensorSource(name: "ids", element: .uint8, shape: [2, 2], bytes: $0)
                let tensors = [text, visual, audio, labels, lengths, ids]
                try SafetensorsWriter(tensors: tensors, metadata: metadata).write(to: path)
              }
            }
          }
        }
      }
    }
  }

  /// Writes an input of every reader.
  static func write(to directory: String) throws {
    func path(_ reader: Reader) throws -> String {
      let folder = "\(directory)/\(reader)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      return folder + "/valid"
    }
    func put(_ text: String, _ reader: Reader) throws { try Data(text.utf8).write(to: URL(filePath: path(reader))) }
    try put(JSON.line(run), .configuration)
    let some = #"{"batchSize": 8, "model": {"hiddenSize": 4, "modalities": [{"layers": 1}, {"alignedSteps": 1}]}}"#
    try Data(some.utf8).write(to: URL(filePath: path(.configuration) + "-in-part"))
    try put(record(), .record)
    try put(settings, .settings)
    try writeSplit(to: path(.split))
    try writeGolden(settings: settings, to: path(.golden))
    try writeCheckpoint(record: record(), to: path(.checkpoint))
    try state().withTensors { try SafetensorsWriter(tensors: $0).write(to: path(.state)) }
    try withTensor("x", [2, 1], [1, .nan]) {
      try Checksums.write([$0], metadata: ["note": "a\"b"], to: path(.safetensors))
    }
  }
}
