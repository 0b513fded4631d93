import Parallel
import Tensor

/// One layer of a long short-term memory of H units over sequences of n inputs a step, under PyTorch's names:
/// gates z_t = W x_t + b_ih + U h_{t−1} + b_hh; what follows from them is in `LSTM`.
///
/// The input's part of all steps is one product a run of samples; the recurrence goes through all samples of a worker at once.
/// Gates and states have rows that are padded with zeros to P, see `LSTM`; so has the input where it is a layer's output.
struct LSTMLayer {
  /// W [4H, n]
  let inputWeight: Parameter
  /// U [4H, H]
  let recurrentWeight: Parameter
  /// [4H] each; their sum counts, and PyTorch has two.
  let inputBias: Parameter
  let recurrentBias: Parameter

  var units: Int { recurrentWeight.columns }
  private var padded: Int { LSTM.paddedSize(units) }

  init(_ name: String, index: Int, inputs: Int, units: Int, in layout: inout ParameterLayout) {
    let initial = InitialValues.byFanIn(units)
    inputWeight = layout.add(name + ".weight_ih_l\(index)", 4 * units, inputs, initial: initial)
    recurrentWeight = layout.add(name + ".weight_hh_l\(index)", 4 * units, units, initial: initial)
    inputBias = layout.add(name + ".bias_ih_l\(index)", 4 * units, initial: initial, bySample: true)
    recurrentBias = layout.add(name + ".bias_hh_l\(index)", 4 * units, initial: initial, bySample: true)
  }

  /// What backward needs of some samples, R rows.
  struct Activations {
    /// i, f, g, o [R, 4P]; backward leaves z's gradient.
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

  /// Floats of scratch.
  static func scratchSize(units H: Int, inputs: Int) -> Int {
    let P = LSTM.paddedSize(H)
    let n = max(inputs, P)
    let packed = max(PackedMatrix.capacity(inner: n, columns: 4 * P), PackedMatrix.capacity(inner: 4 * P, columns: n))
    return Scratch.size(4 * P)
      + max(
        Scratch.size(LSTM.RecurrentWeights.capacity(units: H)),
        Scratch.size(rows: 4 * P, columns: n) + Scratch.size(packed))
  }

  // MARK: Forward

  /// gates ← x Wᵀ for the rows of a run; x [R, n].
  func project(_ x: Matrix, into gates: Matrix, _ θ: Parameters, scratch: Scratch) {
    var scratch = scratch
    let weight = paddedWeight(θ, columns: x.columns, &scratch)
    MatrixProduct.multiply(x, byTransposed: weight, into: gates, scratch: scratch)
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

  /// A sample's gradients of both biases: dz's column sums [T, 4P].
  func backwardBiases(_ dz: Matrix, scratch: Scratch, into gradient: SampleGradients) {
    var scratch = scratch
    let db = scratch.matrix(rows: 4 * padded, columns: 1)
    db.fill(0)
    addColumnSums(of: dz, to: db.base)
    LSTM.unpad(db, into: asColumn(gradient[inputBias]))
    LSTM.unpad(db, into: asColumn(gradient[recurrentBias]))
  }

  /// What its weights' gradients are products of, of so many steps a sample: dW = dzᵀ x and dU = Σ over samples of dz_tᵀ h_{t−1}, gate by gate.
  func weightSources(
    _ a: Activations, perSample: Int, input: @escaping @Sendable () -> Matrix,
    rows: @escaping @Sendable (_ sample: Int) -> Range<Int>
  ) -> [WeightSource] {
    (0..<4).flatMap { q in
      let (outputs, dz) = (q * units..<(q + 1) * units, a.gates.columns(q * padded..<q * padded + units))
      return [
        WeightSource(inputWeight, outputs: outputs, perSample: perSample) { samples, body in
          if samples.isEmpty { return }
          let all = rows(samples.lowerBound).lowerBound..<rows(samples.upperBound - 1).upperBound
          body(dz.rows(all), input().rows(all).columns(0..<inputWeight.columns))
        },
        WeightSource(recurrentWeight, outputs: outputs, perSample: perSample) { samples, body in
          for s in samples {
            let steps = rows(s)
            body(dz.rows(steps.dropFirst()), a.hidden.rows(steps.dropLast()).columns(0..<units))
          }
        },
      ]
    }
  }

  /// dx ← dz W for the rows of a run.
  func backwardInput(_ dz: Matrix, _ θ: Parameters, scratch: Scratch, into dx: Matrix) {
    var scratch = scratch
    let weight = paddedWeight(θ, columns: dx.columns, &scratch)
    MatrixProduct.multiply(dz, by: weight, into: dx, scratch: scratch)
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
