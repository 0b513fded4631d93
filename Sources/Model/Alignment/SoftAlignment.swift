import Parallel
import Tensor

/// Soft alignment of a sequence of T raw steps to L steps: aligned_l = Σ_t p[t, l] x_t, where x are the normalised
/// features and p[t] = softmax over L + 1 positions of a two-layer LSTM's output at step t; position 0 is blank and
/// dropped.
///
/// It reads every step, padding included, as the reference does: masks are of aligned steps and belong to the encoder.
struct SoftAlignment {
  let norm: FeatureNorm
  /// Whose outputs, L + 1 units, are positions.
  let layers: [LSTMLayer]
  /// Norm and first layer, whose gradients of a shard are ready at the same time.
  private let firstGroup: Range<Int>
  private let modality: Int
  private let positions: Int

  /// - Parameter length: L.
  init(_ c: ModelConfiguration, modality: Int, length: Int, in layout: inout ParameterLayout) {
    let m = c.modalities[modality]
    self.modality = modality
    positions = length + 1
    let positions = positions
    let name = Self.name(c, modality)
    let first: (FeatureNorm, LSTMLayer)
    (first, firstGroup) = layout.group { layout in
      (FeatureNorm(m, in: &layout), LSTMLayer(name, index: 0, inputs: m.features, units: positions, in: &layout))
    }
    norm = first.0
    layers = [first.1, LSTMLayer(name, index: 1, inputs: positions, units: positions, in: &layout)]
  }

  /// The reference's name: `v2t_ctc` for visual to text.
  private static func name(_ c: ModelConfiguration, _ modality: Int) -> String {
    let (from, to) = (c.modalities[modality].name.prefix(1), c.modalities[0].name.prefix(1))
    return "\(from)2\(to)_ctc.pred_output_position_inclu_blank"
  }

  var groups: [Range<Int>] { [firstGroup, layers[1].group] }

  /// What backward needs of one shard, R = n T rows; P is L + 1, padded.
  final class Activations: @unchecked Sendable {
    /// Raw features, normalised by forward: [R, F], and 1/deviation [R].
    private let featureRows: Matrix
    let inverse: Matrix
    let layers: [LSTMLayer.Activations]
    /// p [R, P]
    private let probabilityRows: Matrix
    /// Gradient of a layer's hidden states [R, P], of one layer after the other.
    private let hiddenGradientRows: Matrix
    private let most: Int
    /// T and n of the current batch.
    private(set) var steps = 0
    private(set) var samples = 0

    init(_ m: ModelConfiguration.Modality, length: Int, samples: Int, in arena: Arena) throws {
      let (rows, units) = (samples * m.maximumSteps, length + 1)
      most = rows
      featureRows = try arena.matrix(rows: rows, columns: m.features)
      inverse = try arena.matrix(rows: 1, columns: rows)
      layers = try (0..<2).map { _ in try LSTMLayer.Activations(rows: rows, units: units, in: arena) }
      probabilityRows = try arena.matrix(rows: rows, columns: LSTM.paddedSize(units))
      hiddenGradientRows = try arena.matrix(rows: rows, columns: LSTM.paddedSize(units))
    }

    /// Makes room for `samples` sequences of T raw steps.
    func begin(samples: Int, steps T: Int) {
      precondition(samples * T <= most, "\(samples) sequences of \(T) steps in \(most) rows")
      (self.samples, steps) = (samples, T)
    }

    var rowCount: Int { samples * steps }
    /// A sample's rows.
    func rows(_ sample: Int) -> Range<Int> { sample * steps..<(sample + 1) * steps }
    var features: Matrix { featureRows.rows(0..<rowCount) }
    var probabilities: Matrix { probabilityRows.rows(0..<rowCount) }
    var hiddenGradient: Matrix { hiddenGradientRows.rows(0..<rowCount) }
  }

  /// Floats of scratch for shards of `samples` of a modality.
  static func scratchSize(_ m: ModelConfiguration.Modality, samples: Int) -> Int {
    guard let length = m.alignedSteps else { return 0 }
    let (rows, T) = (samples * m.maximumSteps, m.maximumSteps)
    let products = max(
      MatrixProduct.transposedScratch(inner: T, rows: length, columns: m.features),
      PackedMatrix.capacity(inner: m.features, columns: length),
      PackedMatrix.capacity(inner: length, columns: m.features))
    return Scratch.size(rows: rows, columns: m.features)
      + max(LSTMLayer.scratchSize(rows: rows, units: length + 1, inputs: m.features), products)
  }

  /// Aligned steps of every shard, where its embeddings take their features from.
  func forward(_ shards: ArraySlice<Shard>, _ θ: Parameters, scratch: Scratch) {
    withShards(shards) { shard, a, _ in
      var scratch = scratch
      let x = scratch.matrix(rows: a.rowCount, columns: a.features.columns)
      norm.forward(a.features, inverse: a.inverse, θ, into: x)
      layers[0].project(x, a.layers[0], θ, scratch: scratch)
    }
    withSamples(shards, layer: 0) { layers[0].forward($0, steps: $1, θ, scratch: scratch) }
    withShards(shards) { _, a, _ in
      layers[1].project(a.layers[0].hidden.rows(0..<a.rowCount), a.layers[1], θ, scratch: scratch)
    }
    withSamples(shards, layer: 1) { layers[1].forward($0, steps: $1, θ, scratch: scratch) }
    withShards(shards) { shard, a, aligned in
      let p = a.probabilities
      p.copy(from: a.layers[1].hidden.rows(0..<a.rowCount))
      Softmax.forward(p.columns(0..<positions))
      var scratch = scratch
      let x = scratch.matrix(rows: a.rowCount, columns: a.features.columns)
      norm.output(a.features, θ, into: x)
      let sequences = shard.encoders[modality].sequences
      for s in 0..<a.samples {
        let target = aligned.rows(sequences.rows(s))
        MatrixProduct.multiply(
          transposed: p.rows(a.rows(s)).columns(1..<1 + target.rows), by: x.rows(a.rows(s)), into: target,
          scratch: scratch)
      }
    }
  }

  /// All its parameters' gradients from those of the aligned steps, which stand where forward wrote the steps.
  func backward(_ shards: ArraySlice<Shard>, _ θ: Parameters, scratch: Scratch, into tree: TreeAccumulator) {
    withShards(shards) { shard, a, daligned in
      var scratch = scratch
      let x = scratch.matrix(rows: a.rowCount, columns: a.features.columns)
      norm.output(a.features, θ, into: x)
      let d = a.hiddenGradient
      d.fill(0)
      let sequences = shard.encoders[modality].sequences
      for s in 0..<a.samples {
        let from = daligned.rows(sequences.rows(s))
        MatrixProduct.multiply(
          x.rows(a.rows(s)), byTransposed: from, into: d.rows(a.rows(s)).columns(1..<1 + from.rows), scratch: scratch)
      }
      Softmax.backward(a.probabilities.columns(0..<positions), d.columns(0..<positions))
    }
    withSamples(shards, layer: 1) { layers[1].backward($0, steps: $1, θ, scratch: scratch) }
    withShards(shards) { shard, a, _ in
      let input = a.layers[0].hidden.rows(0..<a.rowCount)
      tree.withLeaf(shard.index, layers[1].group) { gradient in
        layers[1].backwardParameters(
          input, a.layers[1], samples: a.samples, steps: a.steps, scratch: scratch, into: gradient)
      }
      layers[1].backwardInput(a.layers[1], θ, scratch: scratch, into: a.hiddenGradient)
    }
    withSamples(shards, layer: 0) { layers[0].backward($0, steps: $1, θ, scratch: scratch) }
    withShards(shards) { shard, a, daligned in
      var scratch = scratch
      let x = scratch.matrix(rows: a.rowCount, columns: a.features.columns)
      norm.output(a.features, θ, into: x)
      let sequences = shard.encoders[modality].sequences
      tree.withLeaf(shard.index, firstGroup) { gradient in
        layers[0].backwardParameters(
          x, a.layers[0], samples: a.samples, steps: a.steps, scratch: scratch, into: gradient)
        let dx = x
        layers[0].backwardInput(a.layers[0], θ, scratch: scratch, into: dx)
        for s in 0..<a.samples {
          let from = daligned.rows(sequences.rows(s))
          MatrixProduct.multiply(
            a.probabilities.rows(a.rows(s)).columns(1..<1 + from.rows), by: from, into: dx.rows(a.rows(s)), .extend,
            scratch: scratch)
        }
        norm.backward(dx, normalized: a.features, inverse: a.inverse, θ, into: gradient)
      }
    }
  }

  /// Each shard that has samples, what it keeps, and its aligned steps [n L, F].
  private func withShards(_ shards: ArraySlice<Shard>, _ body: (Shard, Activations, Matrix) -> Void) {
    for shard in shards where shard.count > 0 {
      let encoder = shard.encoders[modality]
      guard let own = encoder.alignment else { continue }
      body(shard, own, encoder.embeddings.features.rows(0..<encoder.sequences.rowCount))
    }
  }

  /// All samples of the shards, for the recurrence of a layer, and T.
  private func withSamples(
    _ shards: ArraySlice<Shard>, layer: Int, _ body: (UnsafeBufferPointer<LSTM.Steps>, Int) -> Void
  ) {
    let count = shards.reduce(0) { $0 + $1.count }
    withUnsafeTemporaryAllocation(of: LSTM.Steps.self, capacity: count) { list in
      var (filled, steps) = (0, 0)
      withShards(shards) { _, a, _ in
        precondition(steps == 0 || steps == a.steps, "sequences of \(steps) and of \(a.steps) steps")
        steps = a.steps
        let own = a.layers[layer]
        for s in 0..<a.samples {
          let rows = a.rows(s)
          list.initializeElement(
            at: filled,
            to: LSTM.Steps(
              gates: own.gates.rows(rows), cells: own.cells.rows(rows), hidden: own.hidden.rows(rows),
              hiddenGradient: a.hiddenGradient.rows(rows)))
          filled += 1
        }
      }
      body(UnsafeBufferPointer(rebasing: list[..<filled]), steps)
    }
  }
}
