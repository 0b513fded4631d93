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
  let heads: Heads
  /// Runs of the trained parameters whose gradients are ready together: each encoder's, and last those of what follows
  /// the encoders.
  let segments: [Range<Int>]

  public init(_ c: ModelConfiguration) {
    precondition(c.contradiction == nil, c.contradiction ?? "")
    var layout = ParameterLayout()
    var ends = [0]
    encoders = c.modalities.indices.map {
      let encoder = Encoder(c, modality: $0, in: &layout)
      ends.append(layout.count)
      return encoder
    }
    heads = Heads(c, in: &layout)
    trainedCount = layout.count
    ends.append(layout.count)
    segments = zip(ends, ends.dropFirst()).map { $0..<$1 }
    for m in c.modalities {
      let name = m.name + ".pooler.dense"
      _ = layout.add(name + ".weight", c.hiddenSize, c.hiddenSize, initial: .bert)
      _ = layout.add(name + ".bias", c.hiddenSize, initial: .zeros)
    }
    self.layout = layout
    configuration = c
  }

  /// Whether backward takes one encoder after the other with its weights' gradients, because what long sequences leave for
  /// these would not fit for all; results do not depend on it.
  var takesEncodersInTurn: Bool { configuration.longestSequence > Encoder.shortSequence }

  /// Floats of scratch of a worker, of so many in its group.
  func scratchSize(batchSize: Int, workers: Int) -> Int {
    let rows = EncoderRuns.longest * (configuration.modalities.map { max($0.encodedSteps, $0.maximumSteps) }.max() ?? 1)
    return max(
      Encoder.scratchSize(configuration, samples: EncoderRuns.longest),
      WeightGradients.scratchSize(self, batchSize: batchSize, workers: workers, rows: rows))
  }

  /// The tensors that training changes.
  var trained: ArraySlice<Parameter> { layout.parameters.prefix { $0.offset < trainedCount } }
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
