/// Passes over a tile of similarities x_ij = f_i · f_j of the supervised contrastive loss, while it is in cache.
///
/// Rows have unit length, so x ≤ 1 and e_ij = exp((x_ij − 1) / τ) needs no running maximum.
package enum ContrastiveTile {
  /// Pairs whose e_ij must be 0 are set to this before: a row with itself, an empty queue row.
  @inlinable package static var excluded: Float { -1e30 }

  /// rowSums[i] ← rowSums[i] + Σ_j e_ij and, if given, columnSums[j] ← columnSums[j] + Σ_i e_ij.
  package static func addExponentialSums(
    of x: Matrix, temperature τ: Float, rowSums: UnsafeMutablePointer<Float>, columnSums: UnsafeMutablePointer<Float>?
  ) {
    let scale = Floats(1 / τ)
    for r in 0..<x.rows {
      let row = x.row(r)
      if let columnSums {
        @inline(__always) func addToColumns(_ i: Int, _ lanes: Int) -> Floats {
          let e = weight(row + i, lanes, scale)
          store(load(columnSums + i, lanes: lanes) + e, columnSums + i, lanes: lanes)
          return e
        }
        rowSums[r] += sumVectors(x.columns, addToColumns)
      } else {
        rowSums[r] += sumVectors(x.columns) { i, lanes in weight(row + i, lanes, scale) }
      }
    }
  }

  /// x_ij ← e_ij, rowSums[i] ← rowSums[i] + Σ_j e_ij.
  package static func exponentiate(_ x: Matrix, temperature τ: Float, addingTo rowSums: UnsafeMutablePointer<Float>) {
    let scale = Floats(1 / τ)
    for r in 0..<x.rows {
      let row = x.row(r)
      @inline(__always) func exponentiate(_ i: Int, _ lanes: Int) -> Floats {
        let e = weight(row + i, lanes, scale)
        store(e, row + i, lanes: lanes)
        return e
      }
      rowSums[r] += sumVectors(x.columns, exponentiate)
    }
  }

  /// x_ij ← e_ij (rowFactors[i] + columnFactors[j]).
  package static func weigh(
    _ x: Matrix, temperature τ: Float, rowFactors: UnsafePointer<Float>, columnFactors: UnsafePointer<Float>
  ) {
    let scale = Floats(1 / τ)
    for r in 0..<x.rows {
      let row = x.row(r)
      let factor = Floats(rowFactors[r])
      @inline(__always) func weigh(_ i: Int, _ lanes: Int) {
        let e = weight(row + i, lanes, scale)
        store(e * (factor + load(columnFactors + i, lanes: lanes)), row + i, lanes: lanes)
      }
      forEachVector(x.columns, weigh)
    }
  }
}

/// e_ij of sixteen similarities.
@inline(__always) private func weight(_ p: UnsafePointer<Float>, _ lanes: Int, _ scale: Floats) -> Floats {
  let x = load(p, lanes: lanes)
  return exponential((x - Floats(1)) * scale).replacing(with: 0, where: x .<= Floats(ContrastiveTile.excluded))
}
