/// Layer normalisation over columns D with biased variance: y = n · gain + bias, n = (z − mean z) / √(var z + 1e-12).
///
/// Forward keeps n [rows, D] and 1/√(var + ε) [rows], not y: backward needs n, and y is one multiply-add from it.
package enum LayerNorm {
  package static let epsilon: Float = 1e-12

  /// What follows from gain and bias [D].
  package struct Affine {
    package let gain: UnsafeMutablePointer<Float>
    package let bias: UnsafeMutablePointer<Float>
    package init(gain: Matrix, bias: Matrix) {
      self.gain = gain.base
      self.bias = bias.base
    }
  }

  /// Normalises z [rows, D]; `normalized` may be z itself.
  package static func forward(
    _ z: Matrix, _ affine: Affine, normalized: Matrix, inverseDeviation: UnsafeMutablePointer<Float>, into y: Matrix
  ) {
    for r in 0..<z.rows {
      let (source, n) = (z.row(r), normalized.row(r))
      @inline(__always) func copy(_ i: Int, _ lanes: Int) -> Floats {
        let v = load(source + i, lanes: lanes)
        store(v, n + i, lanes: lanes)
        return v
      }
      inverseDeviation[r] = normalize(n, z.columns, sum: sumVectors(z.columns, copy), affine, into: y.row(r))
    }
  }

  /// Normalises residual + dropout(x), for consecutive rows of one sample.
  package static func forward(
    dense x: Matrix, dropout: Dropout, sample: Int, residual: Matrix, _ affine: Affine, normalized: Matrix,
    inverseDeviation: UnsafeMutablePointer<Float>, into y: Matrix
  ) {
    let columns = x.columns
    dropout.forEachRow(x.rows, columns: columns, sample: sample) { r, factors in
      let (source, skip, n) = (x.row(r), residual.row(r), normalized.row(r))
      @inline(__always) func dropAndAdd(_ i: Int, _ lanes: Int) -> Floats {
        let z = load(skip + i, lanes: lanes).addingProduct(load(source + i, lanes: lanes), load(factors + i))
        store(z, n + i, lanes: lanes)
        return z
      }
      inverseDeviation[r] = normalize(n, columns, sum: sumVectors(columns, dropAndAdd), affine, into: y.row(r))
    }
  }

  /// Second half of a row's forward pass: variance, then n in place and y.
  @inline(__always)
  private static func normalize(
    _ n: UnsafeMutablePointer<Float>, _ columns: Int, sum: Float, _ affine: Affine,
    into y: UnsafeMutablePointer<Float>
  ) -> Float {
    let mean = sum / Float(columns)
    @inline(__always) func square(_ i: Int, _ lanes: Int) -> Floats {
      let d = load(n + i, lanes: lanes) - Floats(mean)
      return d * d
    }
    let inverse = 1 / (sumVectors(columns, square) / Float(columns) + epsilon).squareRoot()
    @inline(__always) func finish(_ i: Int, _ lanes: Int) {
      let v = (load(n + i, lanes: lanes) - Floats(mean)) * Floats(inverse)
      store(v, n + i, lanes: lanes)
      let out = load(affine.bias + i, lanes: lanes).addingProduct(v, load(affine.gain + i, lanes: lanes))
      store(out, y + i, lanes: lanes)
    }
    forEachVector(columns, finish)
    return inverse
  }

  /// y again from n, bit for bit what forward wrote.
  package static func output(normalized: Matrix, _ affine: Affine, into y: Matrix) {
    for r in 0..<normalized.rows {
      let (n, target) = (normalized.row(r), y.row(r))
      forEachVector(normalized.columns) { i, lanes in
        let v = load(affine.bias + i, lanes: lanes)
          .addingProduct(load(n + i, lanes: lanes), load(affine.gain + i, lanes: lanes))
        store(v, target + i, lanes: lanes)
      }
    }
  }

  /// dz from dy [rows, D]: with g = dy · gain, dz = (g − mean g − n · mean(g n)) / √(var + ε). Adds to the
  /// gradients of gain and bias. `dz` may be `dy` itself.
  package static func backward(
    _ dy: Matrix, normalized: Matrix, inverseDeviation: UnsafePointer<Float>, _ affine: Affine, into dz: Matrix,
    addingTo gradient: Affine
  ) {
    for r in 0..<dy.rows {
      let (d, n, target) = (dy.row(r), normalized.row(r), dz.row(r))
      let (a, b) = sums(d, n, dy.columns, affine, gradient)
      let inverse = Floats(inverseDeviation[r])
      forEachVector(dy.columns) { i, lanes in
        let g = load(d + i, lanes: lanes) * load(affine.gain + i, lanes: lanes)
        let centred = (g - Floats(a)).addingProduct(load(n + i, lanes: lanes), Floats(-b))
        store(centred * inverse, target + i, lanes: lanes)
      }
    }
  }

  /// Backward of `forward(dense:…)` for consecutive rows of one sample: dz for the residual, dx = dz · mask / (1 − p)
  /// for the dense layer, whose bias gradient is added to as well.
  package static func backward(
    _ dy: Matrix, normalized: Matrix, inverseDeviation: UnsafePointer<Float>, _ affine: Affine, into dz: Matrix,
    dense dx: Matrix, dropout: Dropout, sample: Int, addingTo gradient: Affine,
    denseBias: UnsafeMutablePointer<Float>
  ) {
    let columns = dy.columns
    dropout.forEachRow(dy.rows, columns: columns, sample: sample) { r, factors in
      let (d, n, residual, dense) = (dy.row(r), normalized.row(r), dz.row(r), dx.row(r))
      let (a, b) = sums(d, n, columns, affine, gradient)
      let inverse = Floats(inverseDeviation[r])
      @inline(__always) func subtractAndDrop(_ i: Int, _ lanes: Int) {
        let g = load(d + i, lanes: lanes) * load(affine.gain + i, lanes: lanes)
        let centred = (g - Floats(a)).addingProduct(load(n + i, lanes: lanes), Floats(-b))
        let v = centred * inverse
        store(v, residual + i, lanes: lanes)
        let dropped = v * load(factors + i)
        store(dropped, dense + i, lanes: lanes)
        store(load(denseBias + i, lanes: lanes) + dropped, denseBias + i, lanes: lanes)
      }
      forEachVector(columns, subtractAndDrop)
    }
  }

  /// mean(dy · gain) and mean(dy · gain · n) of a row; adds the row to the gradients of gain and bias.
  @inline(__always)
  private static func sums(
    _ d: UnsafeMutablePointer<Float>, _ n: UnsafeMutablePointer<Float>, _ columns: Int, _ affine: Affine,
    _ gradient: Affine
  ) -> (Float, Float) {
    @inline(__always) func accumulate(_ i: Int, _ lanes: Int) -> (Floats, Floats) {
      let (v, x) = (load(d + i, lanes: lanes), load(n + i, lanes: lanes))
      store(load(gradient.gain + i, lanes: lanes).addingProduct(v, x), gradient.gain + i, lanes: lanes)
      store(load(gradient.bias + i, lanes: lanes) + v, gradient.bias + i, lanes: lanes)
      let g = v * load(affine.gain + i, lanes: lanes)
      return (g, g * x)
    }
    let (a, b) = sumVectors(columns, accumulate)
    return (a / Float(columns), b / Float(columns))
  }
}
