import Parallel
import Tensor

/// The model: which tensors it has and how its stages follow one another. It owns no memory; values come as
/// `Parameters`, so the same model runs with any copy of them.
public struct CARAT: Sendable {
  public let configuration: ModelConfiguration
  /// Trained tensors first; poolers, which are in every checkpoint and in no computation, at the end.
  public let layout: ParameterLayout
  /// Floats of a flat buffer of everything that is trained.
  let trainedCount: Int
  let encoders: [Encoder]
  let reconstruction: Reconstruction
  let scores: LabelScores
  let aggregation: Aggregation

  public init(_ c: ModelConfiguration) {
    precondition(c.contradiction == nil, c.contradiction ?? "")
    var layout = ParameterLayout()
    encoders = c.modalities.indices.map { Encoder(c, modality: $0, in: &layout) }
    reconstruction = Reconstruction(c, in: &layout)
    scores = LabelScores(c, in: &layout)
    aggregation = Aggregation(c, in: &layout)
    trainedCount = layout.count
    for m in c.modalities {
      let name = m.name + ".pooler.dense"
      _ = layout.add(name + ".weight", c.hiddenSize, c.hiddenSize, initial: .bert)
      _ = layout.add(name + ".bias", c.hiddenSize, initial: .zeros)
    }
    self.layout = layout
    configuration = c
  }

  /// The tensors that training changes.
  var trained: ArraySlice<Parameter> { layout.parameters.prefix { $0.offset < trainedCount } }

  /// Ranges of the trained parameters whose gradients are reduced together; each fits a worker's cache.
  var groups: [Range<Int>] {
    encoders.flatMap(\.groups) + reconstruction.modalities.map(\.group) + [scores.group, aggregation.group]
  }

  /// Floats of scratch of a worker whose shards have so many samples.
  static func scratchSize(_ c: ModelConfiguration, samples: Int) -> Int {
    let (D, P, C, M) = (c.hiddenSize, c.latentSize, c.labels, c.modalities.count)
    func gradient(_ rows: Int, _ inputs: Int, _ outputs: Int) -> Int {
      Scratch.size(MatrixProduct.transposedScratch(inner: rows, rows: outputs, columns: inputs))
    }
    let (rows, aggregated) = (samples * C, 2 * samples * M)
    return [
      Encoder.scratchSize(c, samples: samples), gradient(3 * rows, D, D / 2), gradient(3 * rows, D / 2, P),
      gradient(2 * rows, P, D / 2), gradient(2 * rows, D / 2, D), gradient(2 * rows, M * D, D),
      gradient(aggregated, C * D, D), gradient(aggregated, D, C),
    ].max() ?? 0
  }

  var largestGroup: Int { groups.map(\.count).max() ?? 0 }

  /// Runs of the trained parameters whose gradients backward finishes together: each encoder's, by its modality, and
  /// last those of what follows the encoders.
  var segments: [Range<Int>] {
    let ends = [0] + encoders.map { $0.groups.map(\.upperBound).max() ?? 0 } + [trainedCount]
    return zip(ends, ends.dropFirst()).map { $0..<$1 }
  }
}

extension CARAT {
  /// Fills a flat buffer with initial values that depend on the seed and on each tensor's place in the layout.
  func initialize(_ θ: Parameters, seed: UInt64) {
    let key = RandomKey(seed: seed).derived(RandomPurpose.initialisation.rawValue)
    for (stream, parameter) in layout.parameters.enumerated() {
      parameter.initial.fill(θ.pointer(parameter), count: parameter.count, key: key, stream: stream)
    }
  }
}
