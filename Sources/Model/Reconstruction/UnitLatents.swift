import Parallel
import Tensor

/// A shard's latents at unit length, in the order of the live rows: [n, 3 M, C, P], row ((b 3 + level) M + m) C + c.
///
/// The rows lie in the batch's exchange buffer, where every worker reads them in the contrastive phases.
struct UnitLatents {
  /// [n 3 M C, P], a part of the exchange buffer.
  let live: Matrix
  /// 1/‖latent‖ of each row.
  let inverseLengths: Matrix
  /// [n C, P]: the plain rows of one modality, together.
  let together: Matrix
  let modalities: Int
  let labels: Int

  func first(_ sample: Int, _ modality: Int, _ level: Reconstruction.Level) -> Int {
    ((sample * 3 + level.rawValue) * modalities + modality) * labels
  }

  private func forEachSample(
    _ modality: Int, _ level: Reconstruction.Level, _ body: (_ own: Range<Int>, _ live: Range<Int>) -> Void
  ) {
    for b in 0..<live.rows / (3 * modalities * labels) {
      let row = first(b, modality, level)
      body(b * labels..<(b + 1) * labels, row..<row + labels)
    }
  }

  /// Unit rows of one modality's latents [n C, P] at a level.
  func normalize(_ latent: Matrix, modality: Int, level: Reconstruction.Level) {
    forEachSample(modality, level) { own, rows in
      UnitLength.forward(
        latent.rows(own), into: live.rows(rows), inverseLength: inverseLengths.base + rows.lowerBound)
    }
  }

  /// The plain unit latents of a modality as [n C, P].
  func gathered(modality: Int) -> Matrix {
    let n = live.rows / (3 * modalities)
    let target = together.rows(0..<n)
    forEachSample(modality, .plain) { own, rows in target.rows(own).copy(from: live.rows(rows)) }
    return target
  }

  /// Adds what reaches the plain unit latents through the prototypes' weights to `dunit`, in live order.
  func addMixGradient(
    _ dmixed: Matrix, prototypes: Prototypes, modality: Int, weights: Matrix, to dunit: Matrix
  ) {
    forEachSample(modality, .plain) { own, rows in
      prototypes.backward(
        dmixed.rows(own), modality: modality, weights: weights.rows(own), addingTo: dunit.rows(rows))
    }
  }

  /// dlatent [n C, P] of a modality and level from the gradient of the unit rows, in live order.
  func backward(_ dunit: Matrix, modality: Int, level: Reconstruction.Level, into dlatent: Matrix) {
    forEachSample(modality, level) { own, rows in
      UnitLength.backward(
        dunit.rows(rows), unit: live.rows(rows), inverseLength: inverseLengths.base + rows.lowerBound,
        into: dlatent.rows(own))
    }
  }
}
