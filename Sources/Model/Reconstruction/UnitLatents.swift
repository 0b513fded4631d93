import Parallel
import Tensor

/// Latents of consecutive samples at unit length, in the order of the live rows: [n, 3 M, C, P], row
/// ((b 3 + level) M + m) C + c.
///
/// The rows lie in the batch's exchange buffer, where every worker reads them in the contrastive phases.
struct UnitLatents {
  /// [n 3 M C, P], a part of the exchange buffer.
  let live: Matrix
  /// 1/‖latent‖ of each row.
  let inverseLengths: Matrix
  let modalities: Int
  let labels: Int

  /// Calls `body` with the stretches of some rows (sample, label) that lie together among the live rows: one a sample.
  ///
  /// - Parameter own: counted from the first of `rows`.
  func forEachStretch(
    of rows: Range<Int>, modality: Int, level: Reconstruction.Level,
    _ body: (_ own: Range<Int>, _ live: Range<Int>, _ firstLabel: Int) -> Void
  ) {
    var row = rows.lowerBound
    while row < rows.upperBound {
      let (sample, label) = (row / labels, row % labels)
      let end = min((sample + 1) * labels, rows.upperBound)
      let first = ((sample * 3 + level.rawValue) * modalities + modality) * labels + label
      body(row - rows.lowerBound..<end - rows.lowerBound, first..<first + end - row, label)
      row = end
    }
  }

  /// Unit rows of some of one modality's latents at a level, [rows, P].
  func normalize(_ latent: Matrix, rows: Range<Int>, modality: Int, level: Reconstruction.Level) {
    forEachStretch(of: rows, modality: modality, level: level) { own, stretch, _ in
      UnitLength.forward(
        latent.rows(own), into: live.rows(stretch), inverseLength: inverseLengths.base + stretch.lowerBound)
    }
  }

  /// mixed [rows, P]: prototypes weighted by the plain unit latents; `weights` [rows, 2].
  func mix(
    _ prototypes: Prototypes, rows: Range<Int>, modality: Int, training: Bool, weights: Matrix, into mixed: Matrix
  ) {
    forEachStretch(of: rows, modality: modality, level: .plain) { own, stretch, label in
      prototypes.mix(
        live.rows(stretch), firstLabel: label, modality: modality, training: training, weights: weights.rows(own),
        into: mixed.rows(own))
    }
  }

  /// Adds what reaches the plain unit latents through the prototypes' weights to `dunit`, in live order.
  func addMixGradient(
    _ dmixed: Matrix, _ prototypes: Prototypes, rows: Range<Int>, modality: Int, weights: Matrix, to dunit: Matrix
  ) {
    forEachStretch(of: rows, modality: modality, level: .plain) { own, stretch, label in
      prototypes.backward(
        dmixed.rows(own), firstLabel: label, modality: modality, weights: weights.rows(own),
        addingTo: dunit.rows(stretch))
    }
  }

  /// dlatent [rows, P] of a modality and level from the gradient of the unit rows, in live order.
  func backward(
    _ dunit: Matrix, rows: Range<Int>, modality: Int, level: Reconstruction.Level, into dlatent: Matrix
  ) {
    forEachStretch(of: rows, modality: modality, level: level) { own, stretch, _ in
      UnitLength.backward(
        dunit.rows(stretch), unit: live.rows(stretch), inverseLength: inverseLengths.base + stretch.lowerBound,
        into: dlatent.rows(own))
    }
  }
}
