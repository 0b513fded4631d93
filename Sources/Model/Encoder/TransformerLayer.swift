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
  let attention: SelfAttention
  let modality: Int
  let index: Int

  init(_ c: ModelConfiguration, modality: Int, index: Int, in layout: inout ParameterLayout) {
    let name = "\(c.modalities[modality].name).encoder.layer.\(index)"
    let (D, F) = (c.hiddenSize, c.feedForwardSize)
    self.modality = modality
    self.index = index
    attention = SelfAttention(hidden: D, heads: c.heads)
    func norm(_ suffix: String) -> (gain: Parameter, bias: Parameter) {
      (
        layout.add(name + suffix + "weight", D, initial: .ones, bySample: true),
        layout.add(name + suffix + "bias", D, initial: .zeros, bySample: true)
      )
    }
    let names = ["query", "key", "value"].map { name + ".attention.self." + $0 }
    let weights = names.enumerated().map { i, p in
      layout.add(p + ".weight", D, D, initial: .bert, adjoining: i > 0)
    }
    let biases = names.enumerated().map { i, p in
      layout.add(p + ".bias", D, initial: .zeros, adjoining: i > 0, bySample: true)
    }
    projections = Linear(
      weight: Parameter(joining: weights, name: name + ".attention.self.weight"),
      bias: Parameter(joining: biases, name: name + ".attention.self.bias"), in: &layout)
    attentionOutput = Linear(name + ".attention.output.dense", inputs: D, outputs: D, in: &layout)
    (attentionGain, attentionBias) = norm(".attention.output.LayerNorm.")
    intermediate = Linear(name + ".intermediate.dense", inputs: D, outputs: F, in: &layout)
    output = Linear(name + ".output.dense", inputs: F, outputs: D, in: &layout)
    (outputGain, outputBias) = norm(".output.LayerNorm.")
  }

  /// What forward leaves for backward, R rows: 6D + F floats a row. What is one multiply-add away from these is made again.
  ///
  /// So are, bit for bit, queries, keys and values where layers are taken in turn.
  ///
  /// Backward leaves here, over what it is the gradient of or was made from, what the weights' gradients are products of:
  /// the gradients of queries, keys, values and of GELU's input, and the products' inputs.
  struct Activations {
    /// [R, 3D], or nil where it is made again.
    let qkv: Matrix?
    /// [R, D]
    let context: Matrix
    /// h before gain and bias, [R, D], and 1/deviation [R, 1]; backward leaves h.
    let attended: Matrix
    let attendedInverse: Matrix
    /// u, before GELU, [R, F]; backward leaves du.
    let up: Matrix
    /// y before gain and bias, [R, D], and 1/deviation [R, 1]
    let normalized: Matrix
    let inverse: Matrix

    /// - Parameter inTurn: whether layers are taken in turn, see `ModelConfiguration`.
    init(rows: Int, hidden: Int, feedForward: Int, inTurn: Bool = false, in arena: Arena) throws {
      self.init(
        qkv: inTurn ? nil : try arena.matrix(rows: rows, columns: 3 * hidden),
        context: try arena.matrix(rows: rows, columns: hidden),
        attended: try arena.matrix(rows: rows, columns: hidden),
        attendedInverse: try arena.matrix(rows: rows, columns: 1),
        up: try arena.matrix(rows: rows, columns: feedForward),
        normalized: try arena.matrix(rows: rows, columns: hidden), inverse: try arena.matrix(rows: rows, columns: 1))
    }

    private init(
      qkv: Matrix?, context: Matrix, attended: Matrix, attendedInverse: Matrix, up: Matrix, normalized: Matrix,
      inverse: Matrix
    ) {
      (self.qkv, self.context, self.attended, self.attendedInverse) = (qkv, context, attended, attendedInverse)
      (self.up, self.normalized, self.inverse) = (up, normalized, inverse)
    }

    func rows(_ range: Range<Int>) -> Activations {
      Activations(
        qkv: qkv?.rows(range), context: context.rows(range), attended: attended.rows(range),
        attendedInverse: attendedInverse.rows(range), up: up.rows(range), normalized: normalized.rows(range),
        inverse: inverse.rows(range))
    }
  }

  /// What backward leaves for the weights' gradients besides, R rows: 2D + F floats a row, and 4D more where layers are taken
  /// in turn.
  struct Gradients {
    /// Of queries, keys and values [R, 3D], and x [R, D], where they have no place in the activations.
    let qkv: Matrix?
    let input: Matrix?
    /// Of the attention's dense layer's output, [R, D].
    let attentionDense: Matrix
    /// gelu(u) [R, F], the output layer's input.
    let activated: Matrix
    /// Of the output layer's output, [R, D].
    let outputDense: Matrix

    /// In memory that it takes from a stack.
    init(rows: Int, hidden: Int, feedForward: Int, inTurn: Bool, in memory: inout Scratch) {
      self.init(
        qkv: inTurn ? memory.matrix(rows: rows, columns: 3 * hidden) : nil,
        input: inTurn ? memory.matrix(rows: rows, columns: hidden) : nil,
        attentionDense: memory.matrix(rows: rows, columns: hidden),
        activated: memory.matrix(rows: rows, columns: feedForward),
        outputDense: memory.matrix(rows: rows, columns: hidden))
    }

    /// Floats that it takes.
    static func size(rows: Int, hidden: Int, feedForward: Int, inTurn: Bool) -> Int {
      (Scratch.size(rows: rows, columns: 3 * hidden) + Scratch.size(rows: rows, columns: hidden)) * (inTurn ? 1 : 0)
        + 2 * Scratch.size(rows: rows, columns: hidden) + Scratch.size(rows: rows, columns: feedForward)
    }

    private init(qkv: Matrix?, input: Matrix?, attentionDense: Matrix, activated: Matrix, outputDense: Matrix) {
      (self.qkv, self.input, self.attentionDense) = (qkv, input, attentionDense)
      (self.activated, self.outputDense) = (activated, outputDense)
    }

    func rows(_ range: Range<Int>) -> Gradients {
      Gradients(
        qkv: qkv?.rows(range), input: input?.rows(range), attentionDense: attentionDense.rows(range),
        activated: activated.rows(range), outputDense: outputDense.rows(range))
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
    rows: Int, hidden D: Int, feedForward F: Int, heads: Int, steps T: Int, inTurn: Bool
  ) -> Int {
    let narrow = Scratch.size(rows: rows, columns: D)
    let projections = inTurn ? Scratch.size(rows: rows, columns: 3 * D) : 0
    let attention = SelfAttention.scratchSize(steps: T, headSize: D / heads)
    return max(projections + attention, 2 * narrow + Scratch.size(rows: rows, columns: F), narrow + attention)
  }

  /// hidden [R, D]: x in, y out.
  func forward(
    _ hidden: Matrix, _ a: Activations, _ sequences: Sequences, _ θ: Parameters, _ dropouts: DropoutSites,
    scratch: Scratch
  ) {
    do {
      var scratch = scratch
      let qkv = a.qkv ?? scratch.matrix(rows: hidden.rows, columns: 3 * hidden.columns)
      projections.forward(hidden, θ, into: qkv)
      attention.forward(
        qkv, sequences, dropouts(.probabilities, modality: modality, layer: index), scratch: scratch, into: a.context)
    }
    var scratch = scratch
    let dense = scratch.matrix(rows: hidden.rows, columns: hidden.columns)
    let h = scratch.matrix(rows: hidden.rows, columns: hidden.columns)
    attentionOutput.forward(a.context, θ, into: dense)
    addAndNormalize(
      dense, dropouts(.attentionOutput, modality: modality, layer: index), residual: hidden, attentionNorm(θ),
      a.attended, a.attendedInverse, sequences, into: h)

    let activated = scratch.matrix(rows: hidden.rows, columns: a.up.columns)
    intermediate.forward(h, θ, into: a.up)
    GELU.forward(a.up, into: activated)
    output.forward(activated, θ, into: dense)
    addAndNormalize(
      dense, dropouts(.layerOutput, modality: modality, layer: index), residual: h, outputNorm(θ), a.normalized,
      a.inverse, sequences, into: hidden)
  }

  /// y again, bit for bit what forward wrote; in the place of `a.normalized`, if that is wanted.
  func output(_ a: Activations, _ θ: Parameters, into hidden: Matrix) {
    LayerNorm.output(normalized: a.normalized, outputNorm(θ), into: hidden)
  }

  /// d [R, D]: dy in, dx out; what the weights' gradients are products of, and each sample's own gradients. Where layers are
  /// taken in turn, `g.input` is x.
  func backward(
    _ d: Matrix, _ a: Activations, _ g: Gradients, _ sequences: Sequences, _ θ: Parameters, _ dropouts: DropoutSites,
    scratch: Scratch, addingTo gradients: GradientRows
  ) {
    undoAddAndNormalize(
      d, dense: g.outputDense, dropouts(.layerOutput, modality: modality, layer: index), outputNorm(θ), a.normalized,
      a.inverse, sequences, gradients, gain: outputGain, bias: outputBias, denseBias: output.bias)
    output.backwardInput(g.outputDense, θ, into: g.activated)
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      GELU.backward(a.up.rows(rows), g.activated.rows(rows), addingTo: gradients[s].pointer(intermediate.bias))
    }
    intermediate.backwardInput(a.up, θ, into: d, .extend)

    undoAddAndNormalize(
      d, dense: g.attentionDense, dropouts(.attentionOutput, modality: modality, layer: index), attentionNorm(θ),
      a.attended, a.attendedInverse, sequences, gradients, gain: attentionGain, bias: attentionBias,
      denseBias: attentionOutput.bias)
    LayerNorm.output(normalized: a.attended, attentionNorm(θ), into: a.attended)
    var scratch = scratch
    let dcontext = scratch.matrix(rows: d.rows, columns: d.columns)
    attentionOutput.backwardInput(g.attentionDense, θ, into: dcontext)

    let qkv = queriesKeysValues(a, g)
    if let input = g.input { projections.forward(input, θ, into: qkv) }
    attention.backward(
      dcontext, context: a.context, qkv, sequences, dropouts(.probabilities, modality: modality, layer: index),
      scratch: scratch)
    for s in 0..<sequences.count {
      addColumnSums(of: qkv.rows(sequences.rows(s)), to: gradients[s].pointer(projections.bias))
    }
    projections.backwardInput(qkv, θ, into: d, .extend)
  }

  /// Where queries, keys and values are in backward, and then their gradients: [R, 3D].
  func queriesKeysValues(_ a: Activations, _ g: Gradients) -> Matrix {
    guard let qkv = a.qkv ?? g.qkv else { preconditionFailure("no place for queries, keys and values") }
    return qkv
  }

  /// y = LN(residual + dropout(dense)), sample by sample.
  private func addAndNormalize(
    _ dense: Matrix, _ dropout: Dropout, residual: Matrix, _ norm: LayerNorm.Affine, _ normalized: Matrix,
    _ inverse: Matrix, _ sequences: Sequences, into y: Matrix
  ) {
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      LayerNorm.forward(
        dense: dense.rows(rows), dropout: dropout, sample: sequences.place(s), residual: residual.rows(rows),
        norm, normalized: normalized.rows(rows), inverseDeviation: inverse.base + rows.lowerBound, into: y.rows(rows))
    }
  }

  /// d: dy in, the residual's gradient out; the dense layer's in `dense`.
  private func undoAddAndNormalize(
    _ d: Matrix, dense: Matrix, _ dropout: Dropout, _ norm: LayerNorm.Affine, _ normalized: Matrix,
    _ inverse: Matrix, _ sequences: Sequences, _ gradients: GradientRows, gain: Parameter, bias: Parameter,
    denseBias: Parameter
  ) {
    for s in 0..<sequences.count {
      let (rows, gradient) = (sequences.rows(s), gradients[s])
      LayerNorm.backward(
        d.rows(rows), normalized: normalized.rows(rows), inverseDeviation: inverse.base + rows.lowerBound, norm,
        into: d.rows(rows), dense: dense.rows(rows), dropout: dropout, sample: sequences.place(s),
        addingTo: LayerNorm.Affine(gain: gradient[gain], bias: gradient[bias]), denseBias: gradient.pointer(denseBias))
    }
  }
}
