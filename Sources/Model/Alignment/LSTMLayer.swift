import Parallel
import Tensor

/// One layer of a long short-term memory of H units over sequences of n inputs a step, under PyTorch's names:
/// gates z_t = W x_t + b_ih + U h_{t−1} + b_hh; what follows from them is in `LSTM`.
///
/// The input's part of all steps is one product a shard; the recurrence goes through all samples of a worker at once.
/// Gates and states have rows that are padded with zeros to P, see `LSTM`; so has the input where it is a layer's output.
struct LSTMLayer {
  /// W [4H, n]
  let inputWeight: Parameter
  /// U [4H, H]
  let recurrentWeight: Parameter
  /// [4H] each; their sum counts, and PyTorch has two.
  let inputBias: Parameter
  let recurrentBias: Parameter
  let group: Range<Int>

  var units: Int { recurrentWeight.columns }
  private var padded: Int { LSTM.paddedSize(units) }

  init(_ name: String, index: Int, inputs: Int, units: Int, in layout: inout ParameterLayout) {
    let initial = InitialValues.byFanIn(units)
    let parts: [Parameter]
    (parts, group) = layout.group { layout in
      [
        layout.add(name + ".weight_ih_l\(index)", 4 * units, inputs, initial: initial),
        layout.add(name + ".weight_hh_l\(index)", 4 * units, units, initial: initial),
        layout.add(name + ".bias_ih_l\(index)", 4 * units, initial: initial),
        layout.add(name + ".bias_hh_l\(index)", 4 * units, initial: initial),
      ]
    }
    (inputWeight, recurrentWeight, inputBias, recurrentBias) = (parts[0], parts[1], parts[2], parts[3])
  }

  /// What backward needs of a shard, R rows.
  struct Activations {
    /// i, f, g, o [R, 4P]
    let gates: Matrix
    /// c and h [R, P]
    let cells: Matrix
    let hidden: Matrix

    init(rows: Int, units: Int, in arena: Arena) throws {
      let P = LSTM.paddedSize(units)
      gates = try arena.matrix(rows: rows, columns: 4 * P)
      cells = try arena.matrix(rows: rows, columns: P)
      hidden = try arena.matrix(rows: rows, columns: P)
    }
  }

  /// Floats of scratch for R rows.
  static func scratchSize(rows R: Int, units H: Int, inputs: Int) -> Int {
    let P = LSTM.paddedSize(H)
    let n = max(inputs, P)
    let packed = max(PackedMatrix.capacity(inner: n, columns: 4 * P), PackedMatrix.capacity(inner: 4 * P, columns: n))
    return Scratch.size(4 * P)
      + max(
        Scratch.size(LSTM.RecurrentWeights.capacity(units: H)),
        Scratch.size(rows: 4 * P, columns: n)
          + max(packed, MatrixProduct.transposedScratch(inner: R, rows: 4 * P, columns: n)))
  }

  // MARK: Forward

  /// gates ← x Wᵀ for the rows of one shard; x [R, n].
  func project(_ x: Matrix, _ a: Activations, _ θ: Parameters, scratch: Scratch) {
    var scratch = scratch
    let weight = paddedWeight(θ, columns: x.columns, &scratch)
    MatrixProduct.multiply(x, byTransposed: weight, into: a.gates.rows(0..<x.rows), scratch: scratch)
  }

  /// The recurrence over T steps of samples whose gates are projected.
  func forward(_ samples: UnsafeBufferPointer<LSTM.Steps>, steps T: Int, _ θ: Parameters, scratch: Scratch) {
    var scratch = scratch
    let packed = scratch.floats(LSTM.RecurrentWeights.capacity(units: units))
    let bias = scratch.matrix(rows: 4 * padded, columns: 1)
    LSTM.pad(asColumn(θ[inputBias]), into: bias)
    for q in 0..<4 { add(θ.pointer(recurrentBias) + q * units, to: bias.row(q * padded), count: units) }
    LSTM.forward(
      samples, steps: T, LSTM.RecurrentWeights(forward: θ[recurrentWeight], into: packed), bias: bias.base)
  }

  // MARK: Backward

  /// The recurrence's gradient: from that of the hidden states to that of z, which replaces the gates.
  func backward(_ samples: UnsafeBufferPointer<LSTM.Steps>, steps T: Int, _ θ: Parameters, scratch: Scratch) {
    var scratch = scratch
    let packed = scratch.floats(LSTM.RecurrentWeights.capacity(units: units))
    LSTM.backward(samples, steps: T, LSTM.RecurrentWeights(backward: θ[recurrentWeight], into: packed))
  }

  /// Gradients of a shard's parameters: dW = dzᵀ x, dU = Σ over samples of dz_tᵀ h_{t−1}, and both biases'.
  func backwardParameters(
    _ x: Matrix, _ a: Activations, samples: Int, steps T: Int, scratch: Scratch, into gradient: Parameters
  ) {
    let dz = a.gates.rows(0..<x.rows)
    do {
      var scratch = scratch
      let dW = scratch.matrix(rows: 4 * padded, columns: inputWeight.columns)
      MatrixProduct.multiply(transposed: dz, by: x.columns(0..<inputWeight.columns), into: dW, scratch: scratch)
      LSTM.unpad(dW, into: gradient[inputWeight])
    }
    do {
      var scratch = scratch
      let dU = scratch.matrix(rows: 4 * padded, columns: units)
      dU.fill(0)
      for s in 0..<samples where T > 1 {
        let rows = s * T..<(s + 1) * T
        MatrixProduct.multiply(
          transposed: dz.rows(rows.dropFirst()), by: a.hidden.rows(rows.dropLast()).columns(0..<units), into: dU,
          .extend, scratch: scratch)
      }
      LSTM.unpad(dU, into: gradient[recurrentWeight])
    }
    var scratch = scratch
    let db = scratch.matrix(rows: 4 * padded, columns: 1)
    db.fill(0)
    addColumnSums(of: dz, to: db.base)
    LSTM.unpad(db, into: asColumn(gradient[inputBias]))
    LSTM.unpad(db, into: asColumn(gradient[recurrentBias]))
  }

  /// dx ← dz W for the rows of one shard.
  func backwardInput(_ a: Activations, _ θ: Parameters, scratch: Scratch, into dx: Matrix) {
    var scratch = scratch
    let weight = paddedWeight(θ, columns: dx.columns, &scratch)
    MatrixProduct.multiply(a.gates.rows(0..<dx.rows), by: weight, into: dx, scratch: scratch)
  }

  /// W [4P, columns]; columns past n are 0.
  private func paddedWeight(_ θ: Parameters, columns: Int, _ scratch: inout Scratch) -> Matrix {
    let weight = scratch.matrix(rows: 4 * padded, columns: columns)
    LSTM.pad(θ[inputWeight], into: weight)
    return weight
  }

  /// A bias, whose matrix is one row, as one column.
  private func asColumn(_ bias: Matrix) -> Matrix { Matrix(bias.base, rows: bias.columns, columns: 1) }
}
