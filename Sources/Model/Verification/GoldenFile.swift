import Files
import Foundation
import Tensor

/// Training steps recorded by the PyTorch reference: initial state, inputs, what came out, final state.
package struct GoldenFile: Sendable {
  package let file: SafetensorsFile
  package private(set) var configuration: ModelConfiguration
  package let optimizer: OptimizerConfiguration
  package let steps: Int
  package let batchSize: Int

  /// The reference's settings, as its recorder writes them.
  private struct Settings: Decodable {
    var feature_sizes, max_positions, layers: [Int]
    var hidden, heads, intermediate, labels, latent, queue: Int
    var prototype_momentum: Double
    var temperature: Float
    var aligned: Bool
    var aligned_length: Int
    var anchors: ModelConfiguration.Anchors
    var weights: LossWeights
    var lr, warmup: Double
    var total, steps: Int
    var weight_decay: Float
    /// Recordings of this project's own reference only.
    var queue_keys: ModelConfiguration.QueueKeys?
    var key_momentum: Double?
  }

  /// - Throws: if the file is no golden file, contradicts itself, or records what is not supported.
  package init(path: String) throws(DataError) {
    let file = try SafetensorsFile(path: path)
    func wrong(_ expected: String, _ found: String) -> DataError {
      DataError(file: path, expected: expected, found: found, remedy: "record it again with the reference's recorder")
    }
    guard file.metadata["format"] == "carat-golden-1", let json = file.metadata["config"] else {
      throw wrong("golden steps of format carat-golden-1", "format '\(file.metadata["format"] ?? "none")'")
    }
    let settings: Settings
    do {
      settings = try JSONDecoder().decode(Settings.self, from: Data(json.utf8))
    } catch {
      throw wrong("the reference's settings in the metadata's config", "\(error)")
    }
    let names = Dataset.modalityNames
    guard [settings.feature_sizes, settings.max_positions, settings.layers].allSatisfy({ $0.count == names.count })
    else { throw wrong("three modalities", "\(settings.feature_sizes.count) feature sizes") }
    var c = ModelConfiguration(
      modalities: names.indices.map {
        .init(
          name: names[$0], features: settings.feature_sizes[$0], maximumSteps: settings.max_positions[$0],
          layers: settings.layers[$0])
      }, labels: settings.labels)
    if !settings.aligned {
      // The reference aligns all others to the text.
      for m in c.modalities.indices.dropFirst() { c.modalities[m].alignedSteps = settings.aligned_length }
    }
    c.hiddenSize = settings.hidden
    c.heads = settings.heads
    c.feedForwardSize = settings.intermediate
    c.latentSize = settings.latent
    c.queueSize = settings.queue
    c.dropout = 0
    c.prototypeMomentum = settings.prototype_momentum
    c.temperature = settings.temperature
    c.anchors = settings.anchors
    c.queueKeys = settings.queue_keys ?? c.queueKeys
    c.keyMomentum = settings.key_momentum ?? c.keyMomentum
    c.weights = settings.weights
    if let contradiction = c.contradiction { throw wrong("sizes that fit together", contradiction) }
    var optimizer = OptimizerConfiguration(totalSteps: settings.total)
    optimizer.learningRate = settings.lr
    optimizer.warmup = settings.warmup
    optimizer.weightDecay = settings.weight_decay
    guard [settings.lr, settings.warmup, Double(settings.weight_decay)].allSatisfy(\.isFinite) else {
      throw wrong("an optimizer's settings", "lr \(settings.lr), warmup \(settings.warmup)")
    }
    guard let labels = file.shape(of: "step0.labels"), labels.count == 2, settings.steps > 0,
      (1...ModelConfiguration.maximumSize).contains(labels[0])
    else { throw wrong("at least one step of 1 to 1048576 samples", "no step0.labels of two dimensions and that size") }
    self.file = file
    configuration = c
    self.optimizer = optimizer
    steps = settings.steps
    batchSize = labels[0]
  }

  /// The same steps, to be computed with another kind of padding.
  func with(_ padding: ModelConfiguration.Padding) -> GoldenFile {
    var other = self
    other.configuration.padding = padding
    return other
  }

  /// Fills a batch with a recorded step's inputs and shuffle.
  func fill(_ batch: Batch, step: Int) throws(DataError) {
    batch.fill(0..<batchSize, of: try GoldenSource(self, step: step))
    let (M, C) = (configuration.modalities.count, configuration.labels)
    let shape = [batchSize, M, C]
    let samples = try file.int32s("step\(step).sample_permutation", shape: shape)
    let modalities = try file.int32s("step\(step).modality_permutation", shape: shape)
    for i in samples.indices {
      guard (0..<Int32(batchSize)).contains(samples[i]), (0..<Int32(M)).contains(modalities[i]) else {
        throw DataError(
          file: file.path, expected: "permutations of \(batchSize) samples and \(M) modalities",
          found: "sample \(samples[i]), modality \(modalities[i]) in step \(step)",
          remedy: "record it again with the reference's recorder")
      }
      batch.shuffle.samples[i] = samples[i]
      batch.shuffle.modalities[i] = modalities[i]
    }
    batch.shuffle.indexTakers()
  }
}

/// One recorded step's inputs.
private struct GoldenSource: SampleSource {
  let count: Int
  private let features: [Rows]
  private let lengths: [[Int]]
  private let allSteps: [Int]
  private let labels: Rows

  /// Rows of floats in the file.
  private struct Rows {
    let tensor: FileBytes
    let width: Int
    subscript(i: Int) -> UnsafeBufferPointer<Float> {
      let floats = tensor.bytes.assumingMemoryBound(to: Float.self)
      return UnsafeBufferPointer(rebasing: floats[i * width..<(i + 1) * width])
    }
  }

  init(_ golden: GoldenFile, step: Int) throws(DataError) {
    let c = golden.configuration
    let file = golden.file
    count = golden.batchSize
    labels = Rows(
      tensor: FileBytes(file, try file.floats("step\(step).labels", shape: [count, c.labels])), width: c.labels)
    var (features, lengths, allSteps) = ([Rows](), [[Int]](), [Int]())
    for m in c.modalities {
      let name = "step\(step).\(m.name)"
      let x = try file.floats(name, shape: [count, nil, m.features])
      let mask = try file.floats(name + "_mask", shape: [count, nil])
      let steps = x.count / (count * m.features)
      // Masks are for the encoder, behind a soft alignment.
      let masked = m.alignedSteps ?? steps
      guard (1...m.maximumSteps).contains(steps), mask.count == count * masked else {
        throw DataError(
          file: file.path, expected: "1 to \(m.maximumSteps) steps in \(name), masked one by one",
          found: "\(steps) steps, a mask of \(mask.count)", remedy: "record it again with the reference's recorder")
      }
      var own = [Int]()
      for s in 0..<count {
        let row = mask[s * masked..<(s + 1) * masked]
        let length = row.prefix { $0 == 1 }.count
        guard length > 0, row.dropFirst(length).allSatisfy({ $0 == 0 }) else {
          throw DataError(
            file: file.path, expected: "masks of ones, then zeros", found: "another one in \(name), sample \(s)",
            remedy: "record sequences that are padded at their end")
        }
        own.append(length)
      }
      lengths.append(own)
      features.append(Rows(tensor: FileBytes(file, x), width: steps * m.features))
      allSteps.append(steps)
    }
    (self.features, self.lengths, self.allSteps) = (features, lengths, allSteps)
    widths = c.modalities.map(\.features)
  }

  private let widths: [Int]

  func steps(modality: Int) -> Int { allSteps[modality] }
  func alignedLength(sample: Int, modality: Int) -> Int? { lengths[modality][sample] }
  func length(sample: Int, modality: Int) -> Int { lengths[modality][sample] }
  func labels(ofSample sample: Int) -> UnsafeBufferPointer<Float> { labels[sample] }
  func copyFeatures(sample: Int, modality: Int, steps: Int, into target: UnsafeMutablePointer<Float>) {
    let row = features[modality][sample]
    if let base = row.baseAddress { target.update(from: base, count: steps * widths[modality]) }
  }
}
