import Parallel
import Tensor

/// One modality's encoder: embeddings, transformer layers, label-wise attention; before them, where the configuration
/// says so, the soft alignment of an unaligned sequence.
///
/// A worker takes its shards through it layer by layer, so that a layer's weights, and in backward its gradients'
/// partial sums, stay in cache.
struct Encoder {
  let alignment: SoftAlignment?
  let embeddings: Embeddings
  let layers: [TransformerLayer]
  let attention: LabelAttention
  let modality: Int
  /// What its passes are called on a timeline.
  let forwardName: String
  let backwardName: String

  init(_ c: ModelConfiguration, modality: Int, in layout: inout ParameterLayout) {
    self.modality = modality
    forwardName = c.modalities[modality].name + " encoder forward"
    backwardName = c.modalities[modality].name + " encoder backward"
    var alignment: SoftAlignment?
    if let length = c.modalities[modality].alignedSteps {
      alignment = SoftAlignment(c, modality: modality, length: length, in: &layout)
    }
    self.alignment = alignment
    embeddings = Embeddings(c, modality: modality, in: &layout)
    layers = (0..<c.modalities[modality].layers).map {
      TransformerLayer(c, modality: modality, index: $0, in: &layout)
    }
    attention = LabelAttention(c, modality: modality, in: &layout)
  }

  var groups: [Range<Int>] {
    (alignment?.groups ?? []) + [embeddings.group] + layers.map(\.group) + [attention.group]
  }

  /// What backward needs of one shard.
  struct Activations {
    let sequences: Sequences
    let alignment: SoftAlignment.Activations?
    let embeddings: Embeddings.Activations
    let layers: [TransformerLayer.Activations]
    /// Label-wise attention's weights, [C, R].
    let probabilities: Matrix

    init(_ c: ModelConfiguration, modality: Int, samples: Int, in arena: Arena) throws {
      let m = c.modalities[modality]
      let rows = samples * m.encodedSteps
      sequences = Sequences(capacity: samples)
      alignment = try m.alignedSteps.map {
        try SoftAlignment.Activations(m, length: $0, samples: samples, in: arena)
      }
      embeddings = try Embeddings.Activations(rows: rows, features: m.features, hidden: c.hiddenSize, in: arena)
      layers = try (0..<m.layers).map { _ in
        try TransformerLayer.Activations(
          rows: rows, hidden: c.hiddenSize, feedForward: c.feedForwardSize,
          keepsProjections: m.encodedSteps <= Encoder.shortSequence, in: arena)
      }
      probabilities = try arena.matrix(rows: c.labels, columns: rows)
    }

    /// Takes a modality's features and lengths of some samples out of the batch.
    func load(_ batch: Batch, _ samples: Range<Int>, modality: Int) {
      sequences.removeAll()
      for sample in samples {
        let (length, rows) = batch.encodedSteps(sample: sample, modality: modality)
        sequences.append(length: length, rows: rows)
      }
      if let alignment {
        alignment.begin(samples: samples.count, steps: batch.steps(modality: modality))
      }
      for (s, sample) in samples.enumerated() {
        let raw = alignment.map { $0.features.rows($0.rows(s)) } ?? embeddings.features.rows(sequences.rows(s))
        batch.copyFeatures(sample: sample, modality: modality, into: raw)
      }
    }
  }

  /// Of more steps than this, queries, keys and values are made again in backward; results do not depend on it.
  static let shortSequence = 128

  /// Floats of scratch for shards of `samples`, of any modality.
  static func scratchSize(_ c: ModelConfiguration, samples: Int) -> Int {
    c.modalities.map { m in
      let (steps, rows) = (m.encodedSteps, samples * m.encodedSteps)
      let layer = TransformerLayer.scratchSize(
        rows: rows, hidden: c.hiddenSize, feedForward: c.feedForwardSize, heads: c.heads, steps: steps,
        keepsProjections: steps <= shortSequence)
      return max(
        Scratch.size(rows: rows, columns: c.hiddenSize)
          + max(layer, LabelAttention.scratchSize(steps: steps, hidden: c.hiddenSize, labels: c.labels)),
        Scratch.size(rows: rows, columns: m.features)
          + Scratch.size(MatrixProduct.transposedScratch(inner: rows, rows: c.hiddenSize, columns: m.features)),
        SoftAlignment.scratchSize(m, samples: samples))
    }.max() ?? 0
  }

  /// plain [n C, D] of every shard from the raw features in its activations.
  func forward(_ shards: ArraySlice<Shard>, _ θ: Parameters, _ dropouts: DropoutSites, scratch: Scratch) {
    alignment?.forward(shards, θ, scratch: scratch)
    for shard in shards where shard.count > 0 {
      let a = shard.encoders[modality]
      embeddings.forward(
        a.embeddings, a.sequences, firstSample: shard.first, θ, dropouts, scratch: scratch,
        into: shard.hidden(modality))
    }
    for layer in layers {
      for shard in shards where shard.count > 0 {
        let a = shard.encoders[modality]
        layer.forward(
          shard.hidden(modality), a.layers[layer.index], a.sequences, firstSample: shard.first, θ, dropouts,
          scratch: scratch)
      }
    }
    for shard in shards where shard.count > 0 {
      let a = shard.encoders[modality]
      attention.forward(
        shard.hidden(modality), probabilities: a.probabilities.columns(0..<a.sequences.rowCount), a.sequences, θ,
        scratch: scratch, into: shard.plain(modality))
    }
  }

  /// All its parameters' gradients from those of plain, into the worker's part of the reduction tree.
  func backward(
    _ shards: ArraySlice<Shard>, _ θ: Parameters, _ dropouts: DropoutSites, scratch: Scratch,
    into tree: TreeAccumulator
  ) {
    for shard in shards {
      let (a, d) = (shard.encoders[modality], shard.hidden(modality))
      var scratch = scratch
      let hidden = scratch.matrix(rows: d.rows, columns: d.columns)
      output(of: layers.count, shard, θ, dropouts, into: hidden)
      tree.withLeaf(shard.index, attention.group) { gradient in
        attention.backward(
          shard.plainGradient(modality), hidden: hidden,
          probabilities: a.probabilities.columns(0..<a.sequences.rowCount), a.sequences, θ, scratch: scratch,
          into: d, gradient)
      }
    }
    for layer in layers.reversed() {
      for shard in shards {
        let (a, d) = (shard.encoders[modality], shard.hidden(modality))
        var scratch = scratch
        let input = scratch.matrix(rows: d.rows, columns: d.columns)
        output(of: layer.index, shard, θ, dropouts, into: input)
        tree.withLeaf(shard.index, layer.group) { gradient in
          layer.backward(
            d, input: input, a.layers[layer.index], a.sequences, firstSample: shard.first, θ, dropouts,
            scratch: scratch, into: gradient)
        }
      }
    }
    for shard in shards {
      let a = shard.encoders[modality]
      tree.withLeaf(shard.index, embeddings.group) { gradient in
        embeddings.backward(
          shard.hidden(modality), a.embeddings, a.sequences, firstSample: shard.first, θ, dropouts, scratch: scratch,
          into: gradient)
      }
    }
    alignment?.backward(shards, θ, scratch: scratch, into: tree)
  }

  /// What the embeddings and the first `depth` layers made of a shard, again.
  private func output(
    of depth: Int, _ shard: Shard, _ θ: Parameters, _ dropouts: DropoutSites, into hidden: Matrix
  ) {
    let a = shard.encoders[modality]
    if depth == 0 {
      embeddings.output(a.embeddings, a.sequences, firstSample: shard.first, θ, dropouts, into: hidden)
    } else {
      layers[depth - 1].output(a.layers[depth - 1], a.sequences, θ, into: hidden)
    }
  }
}
