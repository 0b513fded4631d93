/// The exact Gaussian error linear unit: gelu(u) = u Φ(u), Φ(u) = (1 + erf(u/√2)) / 2; gelu'(u) = Φ(u) + u φ(u).
package enum GELU {
  /// g ← gelu(u); both [rows, columns].
  package static func forward(_ u: Matrix, into g: Matrix) {
    for r in 0..<u.rows {
      let (source, target) = (u.row(r), g.row(r))
      @inline(__always) func activate(_ i: Int, _ lanes: Int) {
        let v = load(source + i, lanes: lanes)
        store(v * cumulative(v), target + i, lanes: lanes)
      }
      forEachVector(u.columns, activate)
    }
  }

  /// u ← du = dg · gelu'(u), dg ← gelu(u), bit for bit what forward wrote; the bias gradient grows by du's column sums.
  package static func backward(_ u: Matrix, _ dg: Matrix, addingTo biasGradient: UnsafeMutablePointer<Float>) {
    for r in 0..<u.rows {
      let (input, slope) = (u.row(r), dg.row(r))
      @inline(__always) func differentiate(_ i: Int, _ lanes: Int) {
        let v = load(input + i, lanes: lanes)
        let phi = cumulative(v)
        let density = Floats(0.398_942_280_4) * exponential(v * v * Floats(-0.5))
        let d = load(slope + i, lanes: lanes) * phi.addingProduct(v, density)
        store(v * phi, slope + i, lanes: lanes)
        store(d, input + i, lanes: lanes)
        store(load(biasGradient + i, lanes: lanes) + d, biasGradient + i, lanes: lanes)
      }
      forEachVector(u.columns, differentiate)
    }
  }

  /// Φ(u), the normal distribution function.
  @inline(__always) private static func cumulative(_ u: Floats) -> Floats {
    Floats(0.5).addingProduct(errorFunction(u * Floats(0.707_106_781_2)), Floats(0.5))
  }
}
