// Passes over rows that are too small to have a file of their own. Shapes: x, y, d [rows, columns].

/// sums ← sums + Σ over rows of d: a bias's gradient [columns].
package func addColumnSums(of d: Matrix, to sums: UnsafeMutablePointer<Float>) {
  for r in 0..<d.rows {
    let row = d.row(r)
    forEachVector(d.columns) { i, lanes in
      store(load(sums + i, lanes: lanes) + load(row + i, lanes: lanes), sums + i, lanes: lanes)
    }
  }
}

/// y ← y + scale · x.
package func add(_ x: Matrix, scale: Float = 1, to y: Matrix) {
  precondition(x.rows == y.rows && x.columns == y.columns, "shapes differ")
  for r in 0..<x.rows {
    let (source, target) = (x.row(r), y.row(r))
    forEachVector(x.columns) { i, lanes in
      let v = load(target + i, lanes: lanes).addingProduct(load(source + i, lanes: lanes), Floats(scale))
      store(v, target + i, lanes: lanes)
    }
  }
}

/// y[0..<count] ← y + scale · x.
package func add(_ x: UnsafePointer<Float>, scale: Float = 1, to y: UnsafeMutablePointer<Float>, count: Int) {
  forEachVector(count) { i, lanes in
    store(load(y + i, lanes: lanes).addingProduct(load(x + i, lanes: lanes), Floats(scale)), y + i, lanes: lanes)
  }
}

/// x ← scale · x.
package func scale(_ x: Matrix, by scale: Float) {
  for r in 0..<x.rows {
    let row = x.row(r)
    forEachVector(x.columns) { i, lanes in store(load(row + i, lanes: lanes) * Floats(scale), row + i, lanes: lanes) }
  }
}

/// average[0..<count] ← momentum · average + (1 − momentum) · x.
package func average(
  _ x: UnsafePointer<Float>, into average: UnsafeMutablePointer<Float>, count: Int, momentum: Double
) {
  let (kept, added) = (Floats(Float(momentum)), Floats(Float(1 - momentum)))
  forEachVector(count) { i, lanes in
    let old = load(average + i, lanes: lanes) * kept
    store(old.addingProduct(load(x + i, lanes: lanes), added), average + i, lanes: lanes)
  }
}

/// x · y over `count` elements, in one fixed order.
package func dot(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, count: Int) -> Float {
  @inline(__always) func multiply(_ i: Int, _ lanes: Int) -> Floats {
    load(x + i, lanes: lanes) * load(y + i, lanes: lanes)
  }
  return sumVectors(count, multiply)
}

/// Σ (x − y)² over `count` elements, in one fixed order.
package func squaredDistance(_ x: UnsafePointer<Float>, _ y: UnsafePointer<Float>, count: Int) -> Float {
  @inline(__always) func square(_ i: Int, _ lanes: Int) -> Floats {
    let d = load(x + i, lanes: lanes) - load(y + i, lanes: lanes)
    return d * d
  }
  return sumVectors(count, square)
}

/// The rectifier: max(x, 0).
package enum ReLU {
  /// x ← max(x, 0).
  package static func forward(_ x: Matrix) {
    for r in 0..<x.rows {
      let row = x.row(r)
      forEachVector(x.columns) { i, lanes in
        let v = load(row + i, lanes: lanes)
        store(v.replacing(with: 0, where: v .< Floats.zero), row + i, lanes: lanes)
      }
    }
  }

  /// d ← d where the output y is positive, else 0.
  package static func backward(output y: Matrix, _ d: Matrix) {
    for r in 0..<y.rows {
      let (out, slope) = (y.row(r), d.row(r))
      forEachVector(y.columns) { i, lanes in
        let v = load(slope + i, lanes: lanes)
        store(v.replacing(with: 0, where: load(out + i, lanes: lanes) .<= Floats.zero), slope + i, lanes: lanes)
      }
    }
  }
}

/// Rows of unit length: u = x / max(‖x‖, 1e-12).
package enum UnitLength {
  static let epsilon: Float = 1e-12

  /// Writes u and 1 / max(‖x‖, ε) a row.
  package static func forward(_ x: Matrix, into u: Matrix, inverseLength: UnsafeMutablePointer<Float>) {
    for r in 0..<x.rows {
      let (source, target) = (x.row(r), u.row(r))
      let inverse = 1 / max(dot(source, source, count: x.columns).squareRoot(), epsilon)
      inverseLength[r] = inverse
      forEachVector(x.columns) { i, lanes in
        store(load(source + i, lanes: lanes) * Floats(inverse), target + i, lanes: lanes)
      }
    }
  }

  /// dx ← (du − u (u · du)) / ‖x‖; where ‖x‖ < ε the length is a constant and dx = du / ε. dx may be du.
  package static func backward(_ du: Matrix, unit u: Matrix, inverseLength: UnsafePointer<Float>, into dx: Matrix) {
    for r in 0..<du.rows {
      let (slope, unit, target) = (du.row(r), u.row(r), dx.row(r))
      let along = inverseLength[r] < 1 / epsilon ? dot(slope, unit, count: du.columns) : 0
      forEachVector(du.columns) { i, lanes in
        let across = load(slope + i, lanes: lanes).addingProduct(load(unit + i, lanes: lanes), Floats(-along))
        store(across * Floats(inverseLength[r]), target + i, lanes: lanes)
      }
    }
  }
}
