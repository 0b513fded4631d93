// Copies of operands in the order in which MatrixKernel reads them. Columns that only fill up a panel are 0.

extension MatrixKernel {
  /// Packs rows of b [inner, columns] into panels of `tileColumns` columns, row by row: a row lies in one run of memory.
  @inline(never)
  static func packRows(_ b: Matrix, into packed: UnsafeMutablePointer<Float>) {
    let (inner, columns) = (b.rows, b.columns)
    let whole = columns / 16
    // From sixteen columns to the next, within a panel and to the next panel.
    let panel = inner &* tileColumns &- (tileColumns &- 16)
    for k in 0..<inner {
      var (from, to) = (UnsafePointer(b.base + k &* b.stride), packed + k &* tileColumns)
      for j in 0..<whole {
        store(load(from), to)
        (from, to) = (from + 16, to + (j &* 16 % tileColumns &+ 16 == tileColumns ? panel : 16))
      }
      var j = whole
      while j &* 16 < roundedToTile(columns) {
        store(Floats.zero, to)
        for l in 0..<max(columns &- j &* 16, 0) { to[l] = from[l] }
        (from, to) = (from + 16, to + (j &* 16 % tileColumns &+ 16 == tileColumns ? panel : 16))
        j &+= 1
      }
    }
  }

  /// Packs the transpose of rows of b [columns, inner]: the same panels.
  static func packTransposed(_ b: Matrix, into packed: UnsafeMutablePointer<Float>) {
    let (columns, inner) = (b.rows, b.columns)
    for j in stride(from: 0, to: roundedToTile(columns), by: 4) {
      let p = packed + j / tileColumns * tileColumns * inner + j % tileColumns
      packFour(b.base + min(j, columns) * b.stride, b.stride, inner, max(min(columns - j, 4), 0), p)
    }
  }

  static func roundedToTile(_ columns: Int) -> Int { (columns + tileColumns - 1) / tileColumns * tileColumns }

  /// Packs columns of a [inner, rows] into panels of `tileRows`, each with two floats of room behind it. Whole vectors are
  /// written: what is too much of them lies in the panel's next row, which is written later, or in that room.
  ///
  /// - Parameter readable: floats that may be read of each row.
  @inline(never)
  static func packColumns(
    _ a: UnsafePointer<Float>, _ stride: Int, _ inner: Int, _ rows: Int, readable: Int,
    into packed: UnsafeMutablePointer<Float>
  ) {
    let size = panelSize(inner)
    let whole = max(min(rows, readable &- 2), 0) / tileRows
    for k in 0..<inner {
      var (from, to) = (a + k &* stride, packed + k &* tileRows)
      for _ in 0..<whole {
        let eight = UnsafeRawPointer(from).loadUnaligned(as: SIMD8<Float>.self)
        UnsafeMutableRawPointer(to).storeBytes(of: eight, as: SIMD8<Float>.self)
        if tileRows == 12 {
          let four = UnsafeRawPointer(from + 8).loadUnaligned(as: SIMD4<Float>.self)
          UnsafeMutableRawPointer(to + 8).storeBytes(of: four, as: SIMD4<Float>.self)
        }
        (from, to) = (from + tileRows, to + size)
      }
      for l in 0..<rows &- whole &* tileRows { to[l / tileRows &* size &+ l % tileRows] = from[l] }
    }
  }

  /// Floats of one panel of packed columns.
  static func panelSize(_ inner: Int) -> Int { tileRows &* inner &+ 2 }

  /// Up to four rows of b as four columns of a panel: eight shuffles, as pairs of floats are words of 64 bits to the
  /// compiler.
  @inline(never)
  private static func packFour(
    _ b: UnsafePointer<Float>, _ s: Int, _ inner: Int, _ columns: Int, _ p: UnsafeMutablePointer<Float>
  ) {
    @inline(__always) func four(_ p: UnsafePointer<Float>) -> SIMD4<Float> {
      UnsafeRawPointer(p).loadUnaligned(as: SIMD4<Float>.self)
    }
    @inline(__always) func pairs(_ a: Float, _ b: Float, _ c: Float, _ d: Float) -> SIMD2<UInt64> {
      unsafeBitCast(SIMD4(a, b, c, d), to: SIMD2<UInt64>.self)
    }
    @inline(__always) func put(_ a: UInt64, _ b: UInt64, _ p: UnsafeMutablePointer<Float>) {
      UnsafeMutableRawPointer(p).storeBytes(of: SIMD2(a, b), as: SIMD2<UInt64>.self)
    }
    var k = 0
    while columns == 4, k &+ 4 <= inner {
      let (r, to) = (b + k, p + k &* tileColumns)
      let (r0, r1, r2, r3) = (four(r), four(r + s), four(r + 2 &* s), four(r + 3 &* s))
      let (p0, p1) = (pairs(r0[0], r1[0], r0[1], r1[1]), pairs(r0[2], r1[2], r0[3], r1[3]))
      let (q0, q1) = (pairs(r2[0], r3[0], r2[1], r3[1]), pairs(r2[2], r3[2], r2[3], r3[3]))
      put(p0[0], q0[0], to)
      put(p0[1], q0[1], to + tileColumns)
      put(p1[0], q1[0], to + 2 &* tileColumns)
      put(p1[1], q1[1], to + 3 &* tileColumns)
      k &+= 4
    }
    while k < inner {
      for l in 0..<4 { p[k &* tileColumns &+ l] = l < columns ? b[l &* s &+ k] : 0 }
      k &+= 1
    }
  }
}
