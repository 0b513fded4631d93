import Parallel
import Tensor

/// Two prototypes a label and modality, for samples that have the label and samples that do not: moving averages
/// of unit latents. What they say of a sample is its modality's *intrinsic vector*.
package struct Prototypes: Sendable {
  /// [2, C, P] a modality: positive, then negative.
  let values: [Matrix]
  let labels: Int

  init(_ c: ModelConfiguration, in arena: Arena) throws {
    labels = c.labels
    values = try c.modalities.map { _ in try arena.matrix(rows: 2 * c.labels, columns: c.latentSize) }
  }

  /// The prototype [P] of a modality, sign (0 positive, 1 negative) and label.
  func row(_ modality: Int, _ sign: Int, _ label: Int) -> UnsafeMutablePointer<Float> {
    values[modality].row(sign * labels + label)
  }

  /// mixed [rows, P], for rows of consecutive labels: the two prototypes of each row's label, weighted by
  /// softmax(unit · prototype); in evaluation the nearer one (the negative on a tie). `weights` [rows, 2].
  func mix(
    _ unit: Matrix, firstLabel: Int, modality: Int, training: Bool, weights: Matrix, into mixed: Matrix
  ) {
    let P = unit.columns
    for r in 0..<unit.rows {
      let (positive, negative) = (row(modality, 0, firstLabel + r), row(modality, 1, firstLabel + r))
      let difference = dot(unit.row(r), positive, count: P) - dot(unit.row(r), negative, count: P)
      let share = training ? sigmoid(difference) : difference > 0 ? 1 : 0
      weights[r, 0] = share
      weights[r, 1] = 1 - share
      let target = mixed.row(r)
      target.update(repeating: 0, count: P)
      add(positive, scale: weights[r, 0], to: target, count: P)
      add(negative, scale: weights[r, 1], to: target, count: P)
    }
  }

  /// dunit ← dunit + the gradient that reaches unit through the weights: dw · w₊ w₋ (p₊ − p₋), with
  /// dw = dmixed · (p₊ − p₋). Prototypes are constants.
  func backward(_ dmixed: Matrix, firstLabel: Int, modality: Int, weights: Matrix, addingTo dunit: Matrix) {
    let P = dmixed.columns
    for r in 0..<dmixed.rows {
      let (positive, negative) = (row(modality, 0, firstLabel + r), row(modality, 1, firstLabel + r))
      let d = dot(dmixed.row(r), positive, count: P) - dot(dmixed.row(r), negative, count: P)
      let slope = d * weights[r, 0] * weights[r, 1]
      add(positive, scale: slope, to: dunit.row(r), count: P)
      add(negative, scale: -slope, to: dunit.row(r), count: P)
    }
  }

  /// Moves one prototype by the batch's samples in their order: p ← m p + (1 − m) u for each that it stands for.
  ///
  /// - Parameters:
  ///   - labels: [B, C] of 0/1.
  ///   - unit: where a sample's unit latent [P] of this modality and label is.
  func update(
    modality: Int, sign: Int, label: Int, labels: Matrix, momentum: Double,
    unit: (_ sample: Int) -> UnsafeMutablePointer<Float>
  ) {
    let prototype = row(modality, sign, label)
    let P = values[modality].columns
    let (kept, added) = (Float(momentum), Float(1 - momentum))
    for sample in 0..<labels.rows where (labels[sample, label] == 1) == (sign == 0) {
      let u = unit(sample)
      for i in 0..<P { prototype[i] = kept * prototype[i] + added * u[i] }
    }
  }
}
