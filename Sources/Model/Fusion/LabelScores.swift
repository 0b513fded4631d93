import Parallel
import Tensor

/// Label-wise linear scores, max-pooled over modalities: logit[b, c] = max over m of x_m[b, c] · w_m[c].
/// Plain, alpha and beta vectors are scored by the same weights.
struct LabelScores {
  /// [C, D] a modality.
  let weights: [Parameter]
  let group: Range<Int>

  init(_ c: ModelConfiguration, in layout: inout ParameterLayout) {
    (weights, group) = layout.group { layout in
      c.modalities.map {
        layout.add($0.name + "_clf_weight", c.labels, c.hiddenSize, initial: .byFanIn(c.hiddenSize))
      }
    }
  }

  /// scores [n C, M] ← each modality's own scores, of x [n C, D].
  func forward(_ x: Matrix, modality m: Int, _ θ: Parameters, into scores: Matrix) {
    let C = weights[m].rows
    for r in 0..<x.rows { scores[r, m] = dot(x.row(r), θ[weights[m]].row(r % C), count: x.columns) }
  }

  /// logits [n, C] ← the greatest score of any modality.
  func pool(_ scores: Matrix, into logits: Matrix) {
    let C = logits.columns
    for r in 0..<scores.rows {
      var greatest = -Float.infinity
      for m in 0..<scores.columns { greatest = max(greatest, scores[r, m]) }
      logits[r / C, r % C] = greatest
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

  /// dx ← dx + dlogit · w_m for the modality's rows [n C, D].
  func backwardInput(_ dlogits: Matrix, scores: Matrix, modality m: Int, _ θ: Parameters, addingTo dx: Matrix) {
    let C = dlogits.columns
    for r in 0..<dx.rows {
      let d = dlogits[r / C, r % C] * share(scores, r, m)
      if d != 0 { add(θ[weights[m]].row(r % C), scale: d, to: dx.row(r), count: dx.columns) }
    }
  }

  /// dw_m ← dw_m + Σ over samples of dlogit · x.
  func backwardWeight(_ x: Matrix, _ dlogits: Matrix, scores: Matrix, modality m: Int, addingTo gradient: Parameters) {
    let C = dlogits.columns
    for r in 0..<x.rows {
      let d = dlogits[r / C, r % C] * share(scores, r, m)
      if d != 0 { add(x.row(r), scale: d, to: gradient[weights[m]].row(r % C), count: x.columns) }
    }
  }
}
