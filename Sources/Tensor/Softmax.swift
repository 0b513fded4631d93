/// Softmax over the columns of each row, with the dropout that attention puts behind it.
public enum Softmax {
  /// scores ← p = softmax(scores), rows of one sample; `dropped` ← p · mask / (1 − rate), where it may be
  /// `scores` itself if nobody needs p.
  ///
  /// - Parameter firstRow: the first row's number within the sample at this dropout site.
  public static func forward(_ scores: Matrix, dropped: Matrix, dropout: Dropout, sample: Int, firstRow: Int) {
    dropout.forEachRow(scores.rows, columns: scores.columns, sample: sample, firstRow: firstRow) { r, factors in
      let (row, target) = (scores.row(r), dropped.row(r))
      let scale = Floats(exponentials(row, scores.columns))
      @inline(__always) func scaleAndDrop(_ i: Int, _ lanes: Int) {
        let p = load(row + i, lanes: lanes) * scale
        store(p, row + i, lanes: lanes)
        store(p * load(factors + i), target + i, lanes: lanes)
      }
      forEachVector(scores.columns, scaleAndDrop)
    }
  }

  /// scores ← softmax(scores).
  public static func forward(_ scores: Matrix) {
    forward(scores, dropped: scores, dropout: .none, sample: 0, firstRow: 0)
  }

  /// row ← e^(row − max row); returns 1 / Σ.
  @inline(__always)
  private static func exponentials(_ row: UnsafeMutablePointer<Float>, _ columns: Int) -> Float {
    var top = Floats(-Float.infinity)
    forEachVector(columns) { i, lanes in
      top = greater(top, load(row + i, lanes: lanes, else: -Float.infinity))
    }
    let maximum = Floats(top.greatest)
    @inline(__always) func exponentiate(_ i: Int, _ lanes: Int) -> Floats {
      let e = exponential(load(row + i, lanes: lanes) - maximum)
      store(e, row + i, lanes: lanes)
      return e
    }
    return 1 / sumVectors(columns, exponentiate)
  }

  /// ds = dropped · dd − p · Σ (dropped · dd), written over dd, where dd is the gradient of `dropped`: dropout's
  /// mask is in `dropped` already.
  public static func backward(_ p: Matrix, dropped: Matrix, _ dd: Matrix) {
    for r in 0..<p.rows {
      let (probability, kept, slope) = (p.row(r), dropped.row(r), dd.row(r))
      let mean = Floats(-dot(kept, slope, count: p.columns))
      @inline(__always) func subtract(_ i: Int, _ lanes: Int) {
        let product = load(kept + i, lanes: lanes) * load(slope + i, lanes: lanes)
        store(product.addingProduct(load(probability + i, lanes: lanes), mean), slope + i, lanes: lanes)
      }
      forEachVector(p.columns, subtract)
    }
  }
}
