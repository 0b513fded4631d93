import Parallel
import Tensor

/// The model: which tensors it has and how its stages follow one another. It owns no memory; values come as
/// `Parameters`, so the same model runs with any copy of them.
package struct CARATModel: Sendable {
  package let configuration: ModelConfiguration
  /// Trained tensors first; poolers, which are in every checkpoint and in no computation, at the end.
  package let layout: ParameterLayout
  /// Floats of a flat buffer of everything that is trained.
  package let trainedCount: Int
  let encoders: [ModalityEncoder]
  let heads: Heads
  /// Each encoder's run of the trained parameters; what follows the last is that of the heads.
  let encoderRanges: [Range<Int>]
  /// Runs of the trained parameters whose gradients are ready together, and last those of what follows the encoders.
  let segments: [Range<Int>]
  /// How backward goes through the encoders.
  let turns: [BackwardTurn]

  package init(_ c: ModelConfiguration) {
    precondition(c.contradiction == nil, c.contradiction ?? "")
    var layout = ParameterLayout()
    let inTurn = c.takesLayersInTurn
    var (ends, turns) = ([0], [BackwardTurn]())
    var ranges: [Range<Int>] = []
    encoders = c.modalities.indices.map { m in
      let encoder = ModalityEncoder(c, modality: m, in: &layout)
      ranges.append((ranges.last?.upperBound ?? 0)..<layout.count)
      let depth = encoder.layers.count
      let first = ends.count - 1
      if inTurn { ends += encoder.layers.dropFirst().map(\.projections.weight.offset) }
      ends.append(layout.count)
      if inTurn {
        turns += (first..<ends.count - 1).reversed().map { segment in
          let layer = segment - first
          return BackwardTurn(
            encoders: m..<m + 1, layers: min(layer, depth)..<min(layer + 1, depth), segments: [segment])
        }
      }
      return encoder
    }
    encoderRanges = ranges
    heads = Heads(c, in: &layout)
    trainedCount = layout.count
    ends.append(layout.count)
    segments = zip(ends, ends.dropFirst()).map { $0..<$1 }
    let last = segments.count - 1
    if inTurn {
      turns[0].segments.insert(last, at: 0)
    } else {
      turns = [BackwardTurn(encoders: 0..<encoders.count, layers: nil, segments: [last] + Array(0..<last))]
    }
    self.turns = turns
    for m in c.modalities {
      let name = m.name + ".pooler.dense"
      _ = layout.add(name + ".weight", c.hiddenSize, c.hiddenSize, initial: .bert)
      _ = layout.add(name + ".bias", c.hiddenSize, initial: .zeros)
    }
    self.layout = layout
    configuration = c
  }

  /// Floats of scratch of a worker.
  func scratchSize(batchSize: Int) -> Int {
    let steps = configuration.modalities.map { max($0.encodedSteps, $0.maximumSteps) }.max() ?? 1
    let rows = BatchDivision.blockSize * steps
    return max(
      ModalityEncoder.scratchSize(configuration, run: EncoderRuns.longest(configuration), samples: batchSize),
      WeightGradients.scratchSize(batchSize: batchSize, rows: rows))
  }

  /// The tensors that training changes.
  var trained: ArraySlice<Parameter> { layout.parameters.prefix { $0.offset < trainedCount } }

  /// Numbers in these tensors; `trainedCount` is their place in a buffer, gaps between them included.
  var parameterCount: Int { trained.reduce(0) { $0 + $1.count } }
}

/// Which encoders go backward together, which of their layers, and the segments whose gradients are computed then, in order.
struct BackwardTurn: Sendable {
  let encoders: Range<Int>
  /// Nil for all.
  let layers: Range<Int>?
  var segments: [Int]
}

extension CARATModel {
  /// Fills a flat buffer with initial values that depend on the seed and on each tensor's place in the layout.
  func initialize(_ θ: Parameters, seed: UInt64) {
    let key = RandomKey(seed: seed).derived(RandomPurpose.initialisation.rawValue)
    for (stream, parameter) in layout.parameters.enumerated() {
      parameter.initial.fill(θ.pointer(parameter), count: parameter.count, key: key, stream: stream)
    }
  }
}
