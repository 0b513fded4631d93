import Parallel
import Tensor

/// The encoder's input: LayerNorm of the raw features, linear map to D, position embeddings, LayerNorm, dropout.
struct Embeddings {
  /// Nil where features come out of a soft alignment, which normalises them before.
  let norm: FeatureNorm?
  let words: Linear
  let positions: Parameter
  let gain: Parameter
  let bias: Parameter
  let modality: Int

  init(_ c: ModelConfiguration, modality: Int, in layout: inout ParameterLayout) {
    let m = c.modalities[modality]
    self.modality = modality
    let name = m.name + ".embeddings"
    norm = m.alignedSteps == nil ? FeatureNorm(m, in: &layout) : nil
    words = Linear(name + ".word_embeddings", inputs: m.features, outputs: c.hiddenSize, in: &layout)
    positions = layout.add(
      name + ".position_embeddings.weight", m.maximumSteps, c.hiddenSize, initial: .bert)
    gain = layout.add(name + ".LayerNorm.weight", c.hiddenSize, initial: .ones, bySample: true)
    bias = layout.add(name + ".LayerNorm.bias", c.hiddenSize, initial: .zeros, bySample: true)
  }

  /// What backward needs, R rows.
  struct Activations {
    /// Raw features, normalised by forward, or aligned ones: [R, F]. Backward leaves what the linear map was given.
    let features: Matrix
    /// Raw features' 1/deviation [R, 1].
    let featuresInverse: Matrix
    /// Embeddings, normalised: [R, D] and 1/deviation [R, 1]. Backward leaves what the first layer was given.
    let normalized: Matrix
    let inverse: Matrix

    private init(features: Matrix, featuresInverse: Matrix, normalized: Matrix, inverse: Matrix) {
      (self.features, self.featuresInverse) = (features, featuresInverse)
      (self.normalized, self.inverse) = (normalized, inverse)
    }

    func rows(_ range: Range<Int>) -> Activations {
      Activations(
        features: features.rows(range), featuresInverse: featuresInverse.rows(range),
        normalized: normalized.rows(range), inverse: inverse.rows(range))
    }

    init(rows: Int, features: Int, hidden: Int, in arena: Arena) throws {
      self.features = try arena.matrix(rows: rows, columns: features)
      featuresInverse = try arena.matrix(rows: rows, columns: 1)
      normalized = try arena.matrix(rows: rows, columns: hidden)
      inverse = try arena.matrix(rows: rows, columns: 1)
    }
  }

  private func affine(_ θ: Parameters) -> LayerNorm.Affine { LayerNorm.Affine(gain: θ[gain], bias: θ[bias]) }

  /// hidden [R, D] from the raw or aligned features that lie in `a.features` [R, F].
  func forward(
    _ a: Activations, _ sequences: Sequences, _ θ: Parameters, _ dropouts: DropoutSites, scratch: Scratch,
    into hidden: Matrix
  ) {
    if let norm {
      var scratch = scratch
      let input = scratch.matrix(rows: hidden.rows, columns: a.features.columns)
      norm.forward(a.features, inverse: a.featuresInverse, θ, into: input)
      words.forward(input, θ, into: hidden)
    } else {
      words.forward(a.features, θ, into: hidden)
    }
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      add(θ[positions].rows(0..<rows.count), to: hidden.rows(rows))
    }
    LayerNorm.forward(
      hidden, affine(θ), normalized: a.normalized, inverseDeviation: a.inverse.base, into: hidden)
    drop(hidden, sequences, dropouts)
  }

  /// hidden again, bit for bit what forward wrote; in the place of `a.normalized`, if that is wanted.
  func output(
    _ a: Activations, _ sequences: Sequences, _ θ: Parameters, _ dropouts: DropoutSites, into hidden: Matrix
  ) {
    LayerNorm.output(normalized: a.normalized, affine(θ), into: hidden)
    drop(hidden, sequences, dropouts)
  }

  /// From the gradient of hidden, `d` [R, D], that of the linear map's output in its place, and each sample's own
  /// gradients. Aligned features' gradient goes to `daligned` [R, F].
  func backward(
    _ d: Matrix, _ a: Activations, _ sequences: Sequences, _ θ: Parameters, _ dropouts: DropoutSites,
    scratch: Scratch, aligned daligned: Matrix?, addingTo gradients: GradientRows
  ) {
    drop(d, sequences, dropouts)
    for s in 0..<sequences.count {
      let (rows, gradient) = (sequences.rows(s), gradients[s])
      let own = d.rows(rows)
      LayerNorm.backward(
        own, normalized: a.normalized.rows(rows), inverseDeviation: a.inverse.base + rows.lowerBound, affine(θ),
        into: own, addingTo: LayerNorm.Affine(gain: gradient[gain], bias: gradient[bias]))
      addColumnSums(of: own, to: gradient.pointer(words.bias))
    }
    if let norm {
      var scratch = scratch
      let dinput = scratch.matrix(rows: d.rows, columns: a.features.columns)
      words.backwardInput(d, θ, into: dinput)
      norm.backward(
        dinput, normalized: a.features, inverse: a.featuresInverse, (sequences.count, sequences.rows), θ,
        addingTo: gradients)
      norm.output(a.features, θ, into: a.features)
    } else if let daligned {
      words.backwardInput(d, θ, into: daligned)
    }
    output(a, sequences, θ, dropouts, into: a.normalized)
  }

  private func drop(_ hidden: Matrix, _ sequences: Sequences, _ dropouts: DropoutSites) {
    let dropout = dropouts(.embeddings, modality: modality)
    if !dropout.isActive { return }
    for s in 0..<sequences.count {
      let rows = hidden.rows(sequences.rows(s))
      dropout.apply(rows, into: rows, sample: sequences.place(s))
    }
  }
}
