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
  /// Gradients that grow row by row.
  private let accumulated: [Parameter]
  let modality: Int
  let group: Range<Int>

  init(_ c: ModelConfiguration, modality: Int, in layout: inout ParameterLayout) {
    let m = c.modalities[modality]
    self.modality = modality
    let parts: (FeatureNorm?, Linear, Parameter, Parameter, Parameter)
    (parts, group) = layout.group { layout in
      let name = m.name + ".embeddings"
      return (
        m.alignedSteps == nil ? FeatureNorm(m, in: &layout) : nil,
        Linear(name + ".word_embeddings", inputs: m.features, outputs: c.hiddenSize, in: &layout),
        layout.add(name + ".position_embeddings.weight", m.maximumSteps, c.hiddenSize, initial: .bert),
        layout.add(name + ".LayerNorm.weight", c.hiddenSize, initial: .ones),
        layout.add(name + ".LayerNorm.bias", c.hiddenSize, initial: .zeros)
      )
    }
    (norm, words, positions, gain, bias) = parts
    accumulated = [positions, gain, bias]
  }

  /// What backward needs, R rows.
  struct Activations {
    /// Raw features, normalised by forward, or aligned ones: [R, F].
    let features: Matrix
    /// Raw features' 1/deviation [R].
    let featuresInverse: Matrix
    /// Embeddings, normalised: [R, D] and [R].
    let normalized: Matrix
    let inverse: Matrix

    init(rows: Int, features: Int, hidden: Int, in arena: Arena) throws {
      self.features = try arena.matrix(rows: rows, columns: features)
      featuresInverse = try arena.matrix(rows: 1, columns: rows)
      normalized = try arena.matrix(rows: rows, columns: hidden)
      inverse = try arena.matrix(rows: 1, columns: rows)
    }
  }

  private func affine(_ θ: Parameters) -> LayerNorm.Affine { LayerNorm.Affine(gain: θ[gain], bias: θ[bias]) }

  /// hidden [R, D] from the raw or aligned features that lie in `a.features` [R, F].
  func forward(
    _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters, _ dropouts: DropoutSites,
    scratch: Scratch, into hidden: Matrix
  ) {
    let all = 0..<sequences.rowCount
    let features = a.features.rows(all)
    if let norm {
      var scratch = scratch
      let input = scratch.matrix(rows: all.count, columns: features.columns)
      norm.forward(features, inverse: a.featuresInverse, θ, into: input)
      words.forward(input, θ, into: hidden)
    } else {
      words.forward(features, θ, into: hidden)
    }
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      add(θ[positions].rows(0..<rows.count), to: hidden.rows(rows))
    }
    LayerNorm.forward(
      hidden, affine(θ), normalized: a.normalized.rows(all), inverseDeviation: a.inverse.base, into: hidden)
    drop(hidden, sequences, firstSample: firstSample, dropouts)
  }

  /// hidden again, bit for bit what forward wrote.
  func output(
    _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters, _ dropouts: DropoutSites,
    into hidden: Matrix
  ) {
    LayerNorm.output(normalized: a.normalized.rows(0..<sequences.rowCount), affine(θ), into: hidden)
    drop(hidden, sequences, firstSample: firstSample, dropouts)
  }

  /// Gradients of all its parameters from that of hidden, `d` [R, D], which is overwritten; aligned features are
  /// replaced by their gradient.
  func backward(
    _ d: Matrix, _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters,
    _ dropouts: DropoutSites, scratch: Scratch, into gradient: Parameters
  ) {
    let all = 0..<sequences.rowCount
    let features = a.features.rows(all)
    gradient.zero(accumulated)
    drop(d, sequences, firstSample: firstSample, dropouts)
    LayerNorm.backward(
      d, normalized: a.normalized.rows(all), inverseDeviation: a.inverse.base, affine(θ), into: d,
      addingTo: affine(gradient))
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      add(d.rows(rows), to: gradient[positions].rows(0..<rows.count))
    }
    if let norm {
      var scratch = scratch
      let input = scratch.matrix(rows: all.count, columns: features.columns)
      norm.output(features, θ, into: input)
      words.backwardParameters(input, d, scratch: scratch, into: gradient)
      words.backwardInput(d, θ, into: input)
      norm.backward(input, normalized: features, inverse: a.featuresInverse, θ, into: gradient)
    } else {
      words.backwardParameters(features, d, scratch: scratch, into: gradient)
      words.backwardInput(d, θ, into: features)
    }
  }

  private func drop(_ hidden: Matrix, _ sequences: Sequences, firstSample: Int, _ dropouts: DropoutSites) {
    let dropout = dropouts(.embeddings, modality: modality)
    if !dropout.isActive { return }
    for s in 0..<sequences.count {
      let rows = hidden.rows(sequences.rows(s))
      dropout.apply(rows, into: rows, sample: firstSample + s)
    }
  }
}
