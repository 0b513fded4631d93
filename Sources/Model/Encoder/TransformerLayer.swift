import Parallel
import Tensor

/// A post-norm transformer layer:
/// h = LN(x + dropout(attention(x) Woᵀ + bo)), y = LN(h + dropout(gelu(h W1ᵀ + b1) W2ᵀ + b2)).
struct TransformerLayer {
  /// Query, key and value, which adjoin, so that one product makes all three.
  let projections: Linear
  let attentionOutput: Linear
  let attentionGain: Parameter
  let attentionBias: Parameter
  let intermediate: Linear
  let output: Linear
  let outputGain: Parameter
  let outputBias: Parameter
  /// All that is no matrix: gradients that grow row by row.
  private let vectors: [Parameter]
  let attention: SelfAttention
  let modality: Int
  let index: Int
  let group: Range<Int>

  init(_ c: ModelConfiguration, modality: Int, index: Int, in layout: inout ParameterLayout) {
    let name = "\(c.modalities[modality].name).encoder.layer.\(index)"
    let (D, F) = (c.hiddenSize, c.feedForwardSize)
    self.modality = modality
    self.index = index
    attention = SelfAttention(hidden: D, heads: c.heads)
    let parts: ([Linear], [Parameter])
    (parts, group) = layout.group { layout in
      func norm(_ suffix: String) -> [Parameter] {
        [
          layout.add(name + suffix + "weight", D, initial: .ones),
          layout.add(name + suffix + "bias", D, initial: .zeros),
        ]
      }
      let names = ["query", "key", "value"].map { name + ".attention.self." + $0 }
      let weights = names.enumerated().map { i, p in
        layout.add(p + ".weight", D, D, initial: .bert, adjoining: i > 0)
      }
      let biases = names.enumerated().map { i, p in
        layout.add(p + ".bias", D, initial: .zeros, adjoining: i > 0)
      }
      let projections = Linear(
        weight: Parameter(joining: weights, name: name + ".attention.self.weight"),
        bias: Parameter(joining: biases, name: name + ".attention.self.bias"), in: &layout)
      let dense = Linear(name + ".attention.output.dense", inputs: D, outputs: D, in: &layout)
      let norms = norm(".attention.output.LayerNorm.")
      let up = Linear(name + ".intermediate.dense", inputs: D, outputs: F, in: &layout)
      let down = Linear(name + ".output.dense", inputs: F, outputs: D, in: &layout)
      let ends = norm(".output.LayerNorm.")
      return ([projections, dense, up, down], norms + ends)
    }
    let (linear, norms) = parts
    (projections, attentionOutput, intermediate, output) = (linear[0], linear[1], linear[2], linear[3])
    (attentionGain, attentionBias, outputGain, outputBias) = (norms[0], norms[1], norms[2], norms[3])
    vectors = linear.map(\.bias) + norms
  }

  /// What backward needs, R rows: 6D + F floats a row. Inputs of products that are one multiply-add away from
  /// these are made again.
  ///
  /// So are, bit for bit, queries, keys and values of long sequences: half of the memory for a sixth more of its products.
  struct Activations {
    /// [R, 3D], or nil where it is made again.
    let qkv: Matrix?
    /// [R, D]
    let context: Matrix
    /// h before gain and bias, [R, D], and 1/deviation [R]
    let attended: Matrix
    let attendedInverse: Matrix
    /// before GELU, [R, F]
    let up: Matrix
    /// y before gain and bias, [R, D], and 1/deviation [R]
    let normalized: Matrix
    let inverse: Matrix

    /// - Parameter keepsProjections: whether queries, keys and values are kept.
    init(rows: Int, hidden: Int, feedForward: Int, keepsProjections: Bool = true, in arena: Arena) throws {
      qkv = keepsProjections ? try arena.matrix(rows: rows, columns: 3 * hidden) : nil
      context = try arena.matrix(rows: rows, columns: hidden)
      attended = try arena.matrix(rows: rows, columns: hidden)
      attendedInverse = try arena.matrix(rows: 1, columns: rows)
      up = try arena.matrix(rows: rows, columns: feedForward)
      normalized = try arena.matrix(rows: rows, columns: hidden)
      inverse = try arena.matrix(rows: 1, columns: rows)
    }
  }

  private func attentionNorm(_ θ: Parameters) -> LayerNorm.Affine {
    LayerNorm.Affine(gain: θ[attentionGain], bias: θ[attentionBias])
  }
  private func outputNorm(_ θ: Parameters) -> LayerNorm.Affine {
    LayerNorm.Affine(gain: θ[outputGain], bias: θ[outputBias])
  }

  /// Floats of scratch for `rows` rows of samples of T steps.
  static func scratchSize(
    rows: Int, hidden D: Int, feedForward F: Int, heads: Int, steps T: Int, keepsProjections: Bool
  ) -> Int {
    let (narrow, wide) = (Scratch.size(rows: rows, columns: D), Scratch.size(rows: rows, columns: max(D, F)))
    let projections = Scratch.size(rows: rows, columns: 3 * D)
    let widest = max(3 * D, F)
    let product = Scratch.size(MatrixProduct.transposedScratch(inner: rows, rows: widest, columns: max(D, F)))
    let attention = SelfAttention.scratchSize(steps: T, headSize: D / heads)
    return narrow
      + max(
        2 * wide + product, narrow + projections * (keepsProjections ? 1 : 2) + max(product, attention))
  }

  /// hidden [R, D]: x in, y out.
  func forward(
    _ hidden: Matrix, _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters,
    _ dropouts: DropoutSites, scratch: Scratch
  ) {
    let all = 0..<sequences.rowCount
    let context = a.context.rows(all)
    do {
      var scratch = scratch
      let qkv = a.qkv?.rows(all) ?? scratch.matrix(rows: all.count, columns: 3 * hidden.columns)
      projections.forward(hidden, θ, into: qkv)
      attention.forward(
        qkv, sequences, firstSample: firstSample, dropouts(.probabilities, modality: modality, layer: index),
        scratch: scratch, into: context)
    }
    var scratch = scratch
    let dense = scratch.matrix(rows: all.count, columns: hidden.columns)
    let h = scratch.matrix(rows: all.count, columns: hidden.columns)
    attentionOutput.forward(context, θ, into: dense)
    addAndNormalize(
      dense, dropouts(.attentionOutput, modality: modality, layer: index), residual: hidden, attentionNorm(θ),
      a.attended, a.attendedInverse, sequences, firstSample, into: h)

    let up = a.up.rows(all)
    let activated = scratch.matrix(rows: all.count, columns: up.columns)
    intermediate.forward(h, θ, into: up)
    GELU.forward(up, into: activated)
    output.forward(activated, θ, into: dense)
    addAndNormalize(
      dense, dropouts(.layerOutput, modality: modality, layer: index), residual: h, outputNorm(θ), a.normalized,
      a.inverse, sequences, firstSample, into: hidden)
  }

  /// y again, bit for bit what forward wrote.
  func output(_ a: Activations, _ sequences: Sequences, _ θ: Parameters, into hidden: Matrix) {
    LayerNorm.output(normalized: a.normalized.rows(0..<sequences.rowCount), outputNorm(θ), into: hidden)
  }

  /// d [R, D]: dy in, dx out. `input` is x [R, D]. All parameters' gradients are written.
  func backward(
    _ d: Matrix, input: Matrix, _ a: Activations, _ sequences: Sequences, firstSample: Int, _ θ: Parameters,
    _ dropouts: DropoutSites, scratch: Scratch, into gradient: Parameters
  ) {
    let all = 0..<sequences.rowCount
    let (D, F) = (d.columns, a.up.columns)
    var scratch = scratch
    let dense = scratch.matrix(rows: all.count, columns: D)
    gradient.zero(vectors)

    undoAddAndNormalize(
      d, dense: dense, dropouts(.layerOutput, modality: modality, layer: index), outputNorm(θ), a.normalized,
      a.inverse, sequences, firstSample, outputNorm(gradient), denseBias: gradient.pointer(output.bias))
    do {
      var scratch = scratch
      let dup = scratch.matrix(rows: all.count, columns: F)
      output.backwardInput(dense, θ, into: dup)
      do {
        var scratch = scratch
        let activated = scratch.matrix(rows: all.count, columns: F)
        GELU.backward(a.up.rows(all), dup, output: activated, addingTo: gradient.pointer(intermediate.bias))
        output.backwardWeight(activated, dense, scratch: scratch, into: gradient)
      }
      let h = scratch.matrix(rows: all.count, columns: D)
      LayerNorm.output(normalized: a.attended.rows(all), attentionNorm(θ), into: h)
      intermediate.backwardWeight(h, dup, scratch: scratch, into: gradient)
      intermediate.backwardInput(dup, θ, into: d, .extend)
    }

    undoAddAndNormalize(
      d, dense: dense, dropouts(.attentionOutput, modality: modality, layer: index), attentionNorm(θ), a.attended,
      a.attendedInverse, sequences, firstSample, attentionNorm(gradient),
      denseBias: gradient.pointer(attentionOutput.bias))
    attentionOutput.backwardWeight(a.context.rows(all), dense, scratch: scratch, into: gradient)
    let dcontext = scratch.matrix(rows: all.count, columns: D)
    attentionOutput.backwardInput(dense, θ, into: dcontext)

    let dqkv = scratch.matrix(rows: all.count, columns: 3 * D)
    do {
      var scratch = scratch
      let qkv = a.qkv?.rows(all) ?? scratch.matrix(rows: all.count, columns: 3 * D)
      if a.qkv == nil { projections.forward(input, θ, into: qkv) }
      attention.backward(
        dcontext, context: a.context.rows(all), qkv, sequences, firstSample: firstSample,
        dropouts(.probabilities, modality: modality, layer: index), scratch: scratch, into: dqkv)
    }
    projections.backwardParameters(input, dqkv, scratch: scratch, into: gradient)
    projections.backwardInput(dqkv, θ, into: d, .extend)
  }

  /// y = LN(residual + dropout(dense)), sample by sample.
  private func addAndNormalize(
    _ dense: Matrix, _ dropout: Dropout, residual: Matrix, _ norm: LayerNorm.Affine, _ normalized: Matrix,
    _ inverse: Matrix, _ sequences: Sequences, _ firstSample: Int, into y: Matrix
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      LayerNorm.forward(
        dense: dense.rows(rows), dropout: dropout, sample: firstSample + s, residual: residual.rows(rows),
        norm, normalized: normalized.rows(rows), inverseDeviation: inverse.base + rows.lowerBound, into: y.rows(rows))
    }
  }

  /// d: dy in, the residual's gradient out; the dense layer's in `dense`.
  private func undoAddAndNormalize(
    _ d: Matrix, dense: Matrix, _ dropout: Dropout, _ norm: LayerNorm.Affine, _ normalized: Matrix,
    _ inverse: Matrix, _ sequences: Sequences, _ firstSample: Int, _ gradient: LayerNorm.Affine,
    denseBias: UnsafeMutablePointer<Float>
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      LayerNorm.backward(
        d.rows(rows), normalized: normalized.rows(rows), inverseDeviation: inverse.base + rows.lowerBound, norm,
        into: d.rows(rows), dense: dense.rows(rows), dropout: dropout, sample: firstSample + s, addingTo: gradient,
        denseBias: denseBias)
    }
  }
}
