import Parallel
import Tensor

/// Label-wise linear scores, max-pooled over modalities: logit[b, c] = max over m of x_m[b, c] · w_m[c].
/// Plain, alpha and beta vectors are scored by the same weights.
struct LabelScores {
  /// [C, D] a modality.
  let weights: [Parameter]

  init(_ c: ModelConfiguration, in layout: inout ParameterLayout) {
    weights = c.modalities.map {
      layout.add(
        $0.name + "_clf_weight", c.labels, c.hiddenSize, initial: .byFanIn(c.hiddenSize), bySample: true)
    }
  }

  /// scores [rows, M] ← each modality's own scores, of x [rows, D]: rows (sample, label) from `first` on.
  func forward(_ x: Matrix, first: Int, modality m: Int, _ θ: Parameters, into scores: Matrix) {
    let C = weights[m].rows
    for r in 0..<x.rows { scores[r, m] = dot(x.row(r), θ[weights[m]].row((first + r) % C), count: x.columns) }
  }

  /// logits [rows, 1] ← the greatest score of any modality.
  func pool(_ scores: Matrix, into logits: Matrix) {
    for r in 0..<scores.rows {
      var greatest = -Float.infinity
      for m in 0..<scores.columns { greatest = max(greatest, scores[r, m]) }
      logits[r, 0] = greatest
    }
  }

  /// The share of a row's gradient that modality m gets: modalities that tie for the maximum share it equally.
  private func share(_ scores: Matrix, _ r: Int, _ m: Int) -> Float {
    var (greatest, ties) = (-Float.infinity, 0)
    for k in 0..<scores.columns {
      if scores[r, k] > greatest { (greatest, ties) = (scores[r, k], 1) } else if scores[r, k] == greatest { ties += 1 }
    }
    return scores[r, m] == greatest ? 1 / Float(ties) : 0
  }

  /// dx ← dx + dlogit · w_m for the modality's rows [rows, D]; dlogits [rows, 1].
  func backwardInput(
    _ dlogits: Matrix, scores: Matrix, first: Int, modality m: Int, _ θ: Parameters, addingTo dx: Matrix
  ) {
    let C = weights[m].rows
    for r in 0..<dx.rows {
      let d = dlogits[r, 0] * share(scores, r, m)
      if d != 0 { add(θ[weights[m]].row((first + r) % C), scale: d, to: dx.row(r), count: dx.columns) }
    }
  }

  /// One sample's gradient: dw_m ← dw_m + dlogit · x, of its C rows.
  func backwardWeight(
    _ x: Matrix, _ dlogits: Matrix, scores: Matrix, modality m: Int, addingTo gradient: SampleGradients
  ) {
    for c in 0..<x.rows {
      let d = dlogits[c, 0] * share(scores, c, m)
      if d != 0 { add(x.row(c), scale: d, to: gradient[weights[m]].row(c), count: x.columns) }
    }
  }
}
