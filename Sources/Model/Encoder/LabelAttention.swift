import Parallel
import Tensor

/// Label-wise attention: each label's own weighted mean over the time steps,
/// plain[c] = Σ_t a[c, t] h[t] with a[c] = softmax over t of h[t] · w[c].
struct LabelAttention {
  /// [C, D]
  let weight: Parameter

  init(_ c: ModelConfiguration, modality: Int, in layout: inout ParameterLayout) {
    weight = layout.add(
      c.modalities[modality].name + "_attention.attention.weight", c.labels, c.hiddenSize,
      initial: .xavier(inputs: c.hiddenSize, outputs: c.labels), bySample: true)
  }

  /// Floats of scratch for samples of T steps.
  static func scratchSize(steps T: Int, hidden D: Int, labels C: Int) -> Int {
    let products = max(
      PackedMatrix.capacity(inner: D, columns: T), PackedMatrix.capacity(inner: T, columns: D),
      MatrixProduct.transposedScratch(inner: C, rows: T, columns: D))
    return Scratch.size(C * T) + Scratch.size(products)
  }

  /// plain [n C, D] from hidden [R, D]; `probabilities` [C, R] keeps a.
  func forward(
    _ hidden: Matrix, probabilities: Matrix, _ sequences: Sequences, _ θ: Parameters, scratch: Scratch,
    into plain: Matrix
  ) {
    let C = weight.rows
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      let (h, a) = (hidden.rows(rows), probabilities.columns(rows))
      MatrixProduct.multiply(θ[weight], byTransposed: h, into: a, scratch: scratch)
      let padding = a.columns(sequences.length(s)..<rows.count)
      if padding.columns > 0 { padding.fill(0) }
      Softmax.forward(a.columns(0..<sequences.length(s)))
      MatrixProduct.multiply(a, by: h, into: plain.rows(s * C..<(s + 1) * C), scratch: scratch)
    }
  }

  /// From dplain [n C, D], dhidden in the place of hidden [R, D], and each sample's gradient of the weights.
  func backward(
    _ dplain: Matrix, hidden: Matrix, probabilities: Matrix, _ sequences: Sequences, _ θ: Parameters,
    scratch: Scratch, into gradients: GradientRows
  ) {
    let C = weight.rows
    for s in 0..<sequences.count {
      let rows = sequences.rows(s)
      let (h, a) = (hidden.rows(rows), probabilities.columns(rows))
      let d = dplain.rows(s * C..<(s + 1) * C)
      var scratch = scratch
      let ds = scratch.matrix(rows: C, columns: rows.count)
      MatrixProduct.multiply(d, byTransposed: h, into: ds, scratch: scratch)
      Softmax.backward(a, ds)
      MatrixProduct.multiply(ds, by: h, into: gradients[s][weight], scratch: scratch)
      MatrixProduct.multiply(transposed: a, by: d, into: h, scratch: scratch)
      MatrixProduct.multiply(transposed: ds, by: θ[weight], into: h, .extend, scratch: scratch)
    }
  }
}
