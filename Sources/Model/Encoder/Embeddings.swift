import Parallel
import Tensor

/// The encoder's input: LayerNorm of the raw features, linear map to D, position embeddings, LayerNorm, dropout.
struct Embeddings {
  let normGain: Parameter
  let normBias: Parameter
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
    let parts: (Parameter, Parameter, Linear, Parameter, Parameter, Parameter)
    (parts, group) = layout.group { layout in
      let name = m.name + ".embeddings"
      return (
        layout.add(m.name + "_norm.norm2d.weight", m.features, initial: .ones),
        layout.add(m.name + "_norm.norm2d.bias", m.features, initial: .zeros),
        Linear(name + ".word_embeddings", inputs: m.features, outputs: c.hiddenSize, in: &layout),
        layout.add(name + ".position_embeddings.weight", m.maximumSteps, c.hiddenSize, initial: .bert),
        layout.add(name + ".LayerNorm.weight", c.hiddenSize, initial: .ones),
        layout.add(name + ".LayerNorm.bias", c.hiddenSize, initial: .zeros)
      )
    }
    (normGain, normBias, words, positions, gain, bias) = parts
    accumulated = [normGain, normBias, positions, gain, bias]
  }

  /// What backward needs, R rows.
  struct Activations {
    /// Raw features, normalised: [R, F] and [R].
    let features: Matrix
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

  private func featureNorm(_ θ: Parameters) -> LayerNorm.Affine {
    LayerNorm.Affine(gain: θ[normGain], bias: θ[normBias])
  }
  private func norm(_ θ: Parameters) -> LayerNorm.Affine { LayerNorm.Affine(gain: θ[gain], bias: θ[bias]) }

  /// hidden [R, D] from the raw features that lie in `a.features` [R, F].
  func forward(
    _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters, _ dropouts: DropoutSites,
    scratch: Scratch, into hidden: Matrix
  ) {
    let all = 0..<sequences.rowCount
    let features = a.features.rows(all)
    let normalizedFeatures = scratch.matrix(0, rows: all.count, columns: features.columns)
    LayerNorm.forward(
      features, featureNorm(θ), normalized: features, inverseDeviation: a.featuresInverse.base,
      into: normalizedFeatures)
    words.forward(normalizedFeatures, θ, into: hidden)
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      add(θ[positions].rows(0..<rows.count), to: hidden.rows(rows))
    }
    LayerNorm.forward(
      hidden, norm(θ), normalized: a.normalized.rows(all), inverseDeviation: a.inverse.base, into: hidden)
    drop(hidden, sequences, firstSample: firstSample, dropouts)
  }

  /// hidden again, bit for bit what forward wrote.
  func output(
    _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters, _ dropouts: DropoutSites,
    into hidden: Matrix
  ) {
    LayerNorm.output(normalized: a.normalized.rows(0..<sequences.rowCount), norm(θ), into: hidden)
    drop(hidden, sequences, firstSample: firstSample, dropouts)
  }

  /// Gradients of all its parameters from that of hidden, `d` [R, D], which is overwritten.
  func backward(
    _ d: Matrix, _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters,
    _ dropouts: DropoutSites, scratch: Scratch, into gradient: Parameters
  ) {
    let all = 0..<sequences.rowCount
    let features = a.features.rows(all)
    gradient.zero(accumulated)
    drop(d, sequences, firstSample: firstSample, dropouts)
    LayerNorm.backward(
      d, normalized: a.normalized.rows(all), inverseDeviation: a.inverse.base, norm(θ), into: d,
      addingTo: norm(gradient))
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      add(d.rows(rows), to: gradient[positions].rows(0..<rows.count))
    }
    let input = scratch.matrix(0, rows: all.count, columns: features.columns)
    LayerNorm.output(normalized: features, featureNorm(θ), into: input)
    words.backwardParameters(input, d, into: gradient)
    words.backwardInput(d, θ, into: input)
    LayerNorm.backward(
      input, normalized: features, inverseDeviation: a.featuresInverse.base, featureNorm(θ), into: input,
      addingTo: featureNorm(gradient))
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
