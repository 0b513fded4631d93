import Files
import Tensor

/// What the model makes of samples, collected to be written as one safetensors file. N samples, C labels, D the encoders'
/// width, P the latents', T a modality's steps:
///
/// - `plain.<modality>`, `alpha.<modality>`, `beta.<modality>` [N, C, D];
/// - `latent.plain.<modality>`, … [N, C, P], of unit length, as the contrastive loss compares them;
/// - `attention.<modality>` [N, C, T]: the label-wise attention's weights, 0 behind a sequence's end;
/// - `prototypes.<modality>` [2, C, P]: of samples that have the label, and that do not;
/// - `scores` [N, C]; `labels` [N, C] where the samples have them.
///
/// Samples are in the order of their file. The metadata has `label_names` and `modalities`.
package final class SampleEmbeddings {
  private let configuration: RunConfiguration
  private let samples: DatasetSplit
  /// By name, in the file's order.
  private var tensors: [(name: String, shape: [Int], values: [Float])] = []
  private var places: [String: Int] = [:]

  /// - Throws: `MemoryShortage` if they do not fit.
  init(_ configuration: RunConfiguration, samples: DatasetSplit, prototypes: [Matrix]) throws(MemoryShortage) {
    self.configuration = configuration
    self.samples = samples
    let c = configuration.model
    let (N, C) = (samples.count, c.labels)
    var shapes: [(String, [Int])] = []
    for m in c.modalities {
      for level in Reconstruction.Level.allCases {
        shapes.append(("\(level).\(m.name)", [N, C, c.hiddenSize]))
        shapes.append(("latent.\(level).\(m.name)", [N, C, c.latentSize]))
      }
      shapes.append(("attention.\(m.name)", [N, C, m.encodedSteps]))
    }
    shapes.append(("scores", [N, C]))
    try MemoryShortage.check(
      "the embeddings of \(N) samples",
      parts: [("vectors", shapes.reduce(0) { $0 + 4 * Double($1.1.reduce(1, *)) })],
      remedy: "write those of fewer samples at once, or use a machine with more memory")
    for (name, shape) in shapes { add(name, shape, [Float](repeating: 0, count: shape.reduce(1, *))) }
    for (m, values) in zip(c.modalities, prototypes) {
      add("prototypes.\(m.name)", [2, C, c.latentSize], Array(values.elements))
    }
    if samples.hasLabels { add("labels", [N, C], samples.allLabels) }
  }

  private func add(_ name: String, _ shape: [Int], _ values: [Float]) {
    places[name] = tensors.count
    tensors.append((name, shape, values))
  }

  /// Takes a sample's.
  func take(_ own: InspectedSample, sample: Int, scores: [Float]) {
    for (m, modality) in configuration.model.modalities.enumerated() {
      for level in Reconstruction.Level.allCases {
        set("\(level).\(modality.name)", sample, own.vectors(level, modality: m))
        set("latent.\(level).\(modality.name)", sample, own.latents(level, modality: m))
      }
      set("attention.\(modality.name)", sample, own.attention(modality: m))
    }
    scores.withUnsafeBufferPointer { scores in
      guard let place = places["scores"] else { return }
      for (i, score) in scores.enumerated() { tensors[place].values[sample * scores.count + i] = score }
    }
  }

  /// Copies rows [C, n] into a sample's [C, n or more].
  private func set(_ name: String, _ sample: Int, _ rows: Matrix) {
    guard let place = places[name] else { return }
    let (C, width) = (tensors[place].shape[1], tensors[place].shape[2])
    precondition(
      rows.rows == C && rows.columns <= width, "[\(rows.rows), \(rows.columns)] for \(name) [\(C), \(width)]")
    tensors[place].values.withUnsafeMutableBufferPointer { values in
      guard let base = values.baseAddress else { return }
      for i in 0..<C { (base + (sample * C + i) * width).update(from: rows.row(i), count: rows.columns) }
    }
  }

  /// - Throws: if the file can't be written.
  package func write(to path: String) throws(DataError) {
    var sources: [TensorSource] = []
    var copies: [UnsafeMutableBufferPointer<Float>] = []
    defer { copies.forEach { $0.deallocate() } }
    // Arrays have no address that lasts; each is moved into one that has, and freed.
    for i in tensors.indices {
      let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: tensors[i].values.count)
      _ = copy.initialize(from: tensors[i].values)
      tensors[i].values = []
      copies.append(copy)
      sources.append(
        TensorSource(name: tensors[i].name, shape: tensors[i].shape, floats: UnsafeBufferPointer(copy)))
    }
    let metadata = [
      "format": "pt", "label_names": configuration.labelNames.joined(separator: ","),
      "modalities": configuration.model.modalities.map(\.name).joined(separator: ","),
    ]
    try SafetensorsWriter(tensors: sources, metadata: metadata).write(to: path)
  }
}
