/// Softmax over the columns of each row: p = e^(x − max x) / Σ.
package enum Softmax {
  /// x ← p.
  package static func forward(_ x: Matrix) {
    for r in 0..<x.rows {
      let row = x.row(r)
      let inverse = Floats(exponentiate(row, x.columns, width: x.columns, scale: 1, factors: nil, dropped: row))
      @inline(__always) func scale(_ i: Int, _ lanes: Int) {
        store(load(row + i, lanes: lanes) * inverse, row + i, lanes: lanes)
      }
      forEachVector(x.columns, scale)
    }
  }

  /// dx = p · (dp − Σ p dp), written over dp.
  package static func backward(_ p: Matrix, _ dp: Matrix) {
    for r in 0..<p.rows {
      let (probability, slope) = (p.row(r), dp.row(r))
      let mean = Floats(dot(probability, slope, count: p.columns))
      @inline(__always) func subtract(_ i: Int, _ lanes: Int) {
        let difference = load(slope + i, lanes: lanes) - mean
        store(load(probability + i, lanes: lanes) * difference, slope + i, lanes: lanes)
      }
      forEachVector(p.columns, subtract)
    }
  }

  // Attention puts dropout f behind softmax and multiplies by a matrix. Division by Σ is left to what follows, which
  // has fewer columns. Rows are padded to whole vectors: lanes past the end may be read and written.

  /// The stride of rows that `exponentials` and `backward(exponentials:…)` take: columns, rounded up to whole vectors.
  package static func paddedStride(_ columns: Int) -> Int { (columns + laneCount - 1) / laneCount * laneCount }

  /// x ← e = e^(scale · (x − max x)), dropped ← e · f, inverseSums ← 1 / Σ e, for rows of one sample. `dropped` may be x
  /// itself.
  ///
  /// - Parameter firstRow: the first row's number within the sample at this dropout site.
  package static func exponentials(
    _ x: Matrix, scale: Float, dropped: Matrix, inverseSums: UnsafeMutablePointer<Float>, dropout: Dropout, sample: Int,
    firstRow: Int
  ) {
    let width = paddedStride(x.columns)
    precondition(x.stride >= width && dropped.stride >= width, "rows of \(x.columns) columns are not padded")
    dropout.forEachRow(x.rows, columns: x.columns, sample: sample, firstRow: firstRow) { r, factors in
      inverseSums[r] = exponentiate(
        x.row(r), x.columns, width: width, scale: scale, factors: dropout.isActive ? factors : nil,
        dropped: dropped.row(r))
    }
  }

  /// ds over dd: with p = e / Σ and dd = d(p f) / Σ, ds = scale · (e f dd − e · shares), where a row's share is
  /// Σ_j p f d(p f) / Σ.
  package static func backward(
    exponentials e: Matrix, dropped: Matrix, shares: UnsafePointer<Float>, scale: Float, _ dd: Matrix
  ) {
    let width = paddedStride(e.columns)
    precondition(
      e.stride >= width && dropped.stride >= width && dd.stride >= width, "rows of \(e.columns) columns are not padded")
    for r in 0..<e.rows {
      let (exponential, kept, slope) = (e.row(r), dropped.row(r), dd.row(r))
      let share = Floats(-shares[r])
      forEachVector(width) { i, _ in
        let product = load(kept + i) * load(slope + i)
        store(product.addingProduct(load(exponential + i), share) * Floats(scale), slope + i)
      }
    }
  }

  /// row ← e^(scale · (row − max row)), dropped ← that times the factors; returns 1 / Σ. Of `width` columns, those past `columns`
  /// are padding and become 0.
  @inline(__always)
  private static func exponentiate(
    _ row: UnsafeMutablePointer<Float>, _ columns: Int, width: Int, scale: Float, factors: UnsafePointer<Float>?,
    dropped: UnsafeMutablePointer<Float>
  ) -> Float {
    var top = Floats(-Float.infinity)
    forEachVector(width) { i, lanes in
      var x = load(row + i, lanes: lanes, else: -Float.infinity)
      if i &+ 16 > columns { x = masked(x, lanes: columns &- i, else: -Float.infinity) }
      top = greater(top, x)
    }
    let maximum = Floats(top.greatest)
    @inline(__always) func exponentiate(_ i: Int, _ lanes: Int) -> Floats {
      var e = exponential((load(row + i, lanes: lanes) - maximum) * Floats(scale))
      if i &+ 16 > columns { e = masked(e, lanes: columns &- i) }
      store(e, row + i, lanes: lanes)
      if let factors {
        store(e * load(factors + i), dropped + i, lanes: lanes)
      } else if dropped != row {
        store(e, dropped + i, lanes: lanes)
      }
      return e
    }
    return 1 / sumVectors(width, exponentiate)
  }
}

/// Each row times its own factor: x[r] ← x[r] · factors[r], from `source`, which may be x itself.
package func scaleRows(_ source: Matrix, by factors: UnsafePointer<Float>, into x: Matrix) {
  for r in 0..<x.rows {
    let (from, to, factor) = (source.row(r), x.row(r), Floats(factors[r]))
    forEachVector(x.columns) { i, lanes in store(load(from + i, lanes: lanes) * factor, to + i, lanes: lanes) }
  }
}
