import CKernelHints

/// Matrix products with one order of additions: c[i, j] is one chain of fused multiply-adds over k = 0, 1, 2, …
///
/// Vectors run along j, so every lane is a chain of its own. Tiles, blocks, edges and the instruction set change neither
/// the operations of an element nor their order: its bits depend on row i of a, column j of b and where the chain begins.
///
/// `SIMD16.addingProduct` is a fused multiply-add lane by lane on every target. That it becomes one instruction for a whole
/// vector is the compiler's doing, which scripts/check/kernels looks at.
enum MatrixKernel {
  // A tile of c stays in registers: 12 vectors of AVX2's 16, 24 of AVX-512's 32, 24 of NEON's 32.
  #if TILE_12X32
    static let tileRows = 12
    static let tileColumns = 32
  #else
    static let tileRows = 6
    static let tileColumns = 16
  #endif

  /// Rows of b that are packed at a time where both operands are: a panel fills half of the first-level cache.
  static let innerBlock = 256

  /// Rows of a, 240 KB at most, that stay in the second-level cache while the panels of b pass.
  static func rowBlock(_ inner: Int) -> Int { max(min(61_440 / max(inner, 1), 480) / 12, 1) * 12 }

  /// Where the chains of c [rows, columns] begin, and what becomes of their ends.
  struct Target {
    let c: UnsafeMutablePointer<Float>
    let stride: Int
    /// Where chains begin: nil at 0. A stride of 0 is the same row for all.
    let start: UnsafePointer<Float>?
    let startStride: Int
    /// Whether the ends are added to c rather than written over it.
    let adds: Bool

    @inline(__always) func rows(from i: Int) -> Target {
      Target(
        c: c + i &* stride, stride: stride, start: start.map { $0 + i &* startStride }, startStride: startStride,
        adds: adds)
    }
  }

  /// A block of rows: every tile by one panel of b, then by the next. Element (i, k) of a tile of a is
  /// a[i · row + k · step], and one of row and step is 1: known to the compiler, it saves a tenth of the instructions.
  ///
  /// - Parameters:
  ///   - tile: floats from one tile of a to the next.
  ///   - packed: panels of b, `tileColumns` columns each, row by row.
  @inline(never)
  static func multiply(
    rows: Int, inner: Int, columns: Int, _ a: UnsafePointer<Float>, row: Int, step: Int, tile: Int,
    packed: UnsafePointer<Float>, into target: Target
  ) {
    // On the stack: a temporary allocation of more than 1 KiB, or aligned to more than 16 bytes, comes from the heap.
    var edge = EdgeTile()
    withUnsafeMutableBytes(of: &edge) { memory in
      let edge = memory.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
      if step == 1 {
        multiplyTiles(rows, inner, columns, a, row, 1, tile, packed, target, edge)
      } else {
        multiplyTiles(rows, inner, columns, a, 1, step, tile, packed, target, edge)
      }
    }
  }

  @inline(__always)
  private static func multiplyTiles(
    _ rows: Int, _ inner: Int, _ columns: Int, _ a: UnsafePointer<Float>, _ row: Int, _ step: Int, _ tile: Int,
    _ packed: UnsafePointer<Float>, _ target: Target, _ edge: UnsafeMutablePointer<Float>
  ) {
    let stride = target.stride
    for j in Swift.stride(from: 0, to: columns, by: tileColumns) {
      let lanes = min(columns &- j, tileColumns)
      let b = packed + j &* inner
      var (a, c, left) = (a, target.c + j, rows)
      // Of a panel that comes for the first time, the lines would be waited for: they are asked for while this one is used.
      let panel = inner &* tileColumns
      var (next, ahead) = (b + panel, panel)
      var start = target.start.map { $0 + j }
      while left > 0 {
        // Below the last whole tile, half a tile at a time.
        let m = left >= tileRows ? tileRows : min(left, 6)
        let lines = ahead > 0 ? lineFloats : 0
        if lanes == tileColumns && m == tileRows {
          multiplyTile(inner, a, row, step, b, c, stride, start, target.startStride, target.adds, next, lines)
        } else {
          if let start { copyTile(start, target.startStride, edge, tileColumns, m, lanes) }
          let start = start == nil ? nil : UnsafePointer(edge)
          if m == tileRows {
            multiplyTile(inner, a, row, step, b, edge, tileColumns, start, tileColumns, false, next, lines)
          } else {
            multiplySix(inner, a, row, step, b, edge, tileColumns, m, start, tileColumns, false, next, lines)
          }
          if target.adds {
            for r in 0..<m { for l in 0..<lanes { c[r &* stride &+ l] += edge[r &* tileColumns &+ l] } }
          } else {
            copyTile(edge, tileColumns, c, stride, m, lanes)
          }
        }
        (a, c, left) = (m == tileRows ? a + tile : a + 6 &* row, c + m &* stride, left &- m)
        (next, ahead) = (next + inner &* lines, ahead &- inner &* lines)
        start = start.map { $0 + m &* target.startStride }
      }
    }
  }

  /// Floats of a cache line.
  private static let lineFloats = 16

  /// A whole tile.
  ///
  /// - Parameters:
  ///   - next: what is asked for meanwhile, a line for each k.
  ///   - lines: floats from one such line to the next.
  @inline(__always)
  private static func multiplyTile(
    _ inner: Int, _ a: UnsafePointer<Float>, _ row: Int, _ step: Int, _ b: UnsafePointer<Float>,
    _ c: UnsafeMutablePointer<Float>, _ stride: Int, _ start: UnsafePointer<Float>?, _ startStride: Int,
    _ adds: Bool, _ next: UnsafePointer<Float>, _ lines: Int
  ) {
    #if TILE_12X32
      var (b, next) = (b, next)
      // Twelve addresses of rows don't fit into registers beside the others, and with all twelve values loaded at the
      // beginning of a k the tile wouldn't either: every third row has an address, and is loaded where it is used.
      var (r0, r3, r6, r9) = (a, a + 3 &* row, a + 6 &* row, a + 9 &* row)
      let end = b + inner &* tileColumns
      var (c00, c01, c10, c11) = (Six(), Six(), Six(), Six())
      if let start {
        let below = start + 6 &* startStride
        (c00, c01) = (Six(start, startStride), Six(start + 16, startStride))
        (c10, c11) = (Six(below, startStride), Six(below + 16, startStride))
      }
      while b != end {
        let (b0, b1) = (load(b), load(b + 16))
        r0 = carat_opaque(r0)
        c00.addUpper(r0, row, b0)
        c01.addUpper(r0, row, b1)
        r3 = carat_opaque(r3)
        c00.addLower(r3, row, b0)
        c01.addLower(r3, row, b1)
        r6 = carat_opaque(r6)
        c10.addUpper(r6, row, b0)
        c11.addUpper(r6, row, b1)
        r9 = carat_opaque(r9)
        c10.addLower(r9, row, b0)
        c11.addLower(r9, row, b1)
        (r0, r3, r6, r9) = (r0 + step, r3 + step, r6 + step, r9 + step)
        carat_prefetch(next)
        next += lines
        b += tileColumns
      }
      let below = c + 6 &* stride
      c00.write(c, stride, adds)
      c01.write(c + 16, stride, adds)
      c10.write(below, stride, adds)
      c11.write(below + 16, stride, adds)
    #else
      multiplySix(inner, a, row, step, b, c, stride, 6, start, startStride, adds, next, lines)
    #endif
  }

  /// Six rows of a tile, or fewer: then the first one is repeated, so that nothing past the end of a is read.
  @inline(__always)
  private static func multiplySix(
    _ inner: Int, _ a: UnsafePointer<Float>, _ row: Int, _ step: Int, _ b: UnsafePointer<Float>,
    _ c: UnsafeMutablePointer<Float>, _ stride: Int, _ rows: Int, _ start: UnsafePointer<Float>?, _ startStride: Int,
    _ adds: Bool, _ next: UnsafePointer<Float>, _ lines: Int
  ) {
    let a = SixRows(a, row, rows)
    var (b, next, k) = (b, next, 0)
    let end = b + inner &* tileColumns
    var c0 = start.map { Six($0, startStride) } ?? Six()
    #if TILE_12X32
      var c1 = start.map { Six($0 + 16, startStride) } ?? Six()
    #endif
    while b != end {
      c0.add(a, k, load(b))
      #if TILE_12X32
        c1.add(a, k, load(b + 16))
      #endif
      carat_prefetch(next)
      next += lines
      b += tileColumns
      k &+= step
    }
    c0.write(c, stride, adds)
    #if TILE_12X32
      c1.write(c + 16, stride, adds)
    #endif
  }

  /// Six rows of a; those past the end repeat the first one.
  private struct SixRows {
    let r0, r1, r2, r3, r4, r5: UnsafePointer<Float>
    @inline(__always) init(_ a: UnsafePointer<Float>, _ s: Int, _ n: Int) {
      (r0, r1, r2) = (a, n > 1 ? a + s : a, n > 2 ? a + 2 &* s : a)
      (r3, r4, r5) = (n > 3 ? a + 3 &* s : a, n > 4 ? a + 4 &* s : a, n > 5 ? a + 5 &* s : a)
    }
  }

  /// A whole tile [`tileRows`, `tileColumns`], where those at an edge are computed.
  private struct EdgeTile {
    #if TILE_12X32
      var rows = (Six(), Six(), Six(), Six())
    #else
      var rows = Six()
    #endif
  }

  /// Six rows by sixteen columns of c. Named fields, as an array of them would not stay in registers.
  private struct Six {
    var c0 = Floats.zero
    var c1 = Floats.zero
    var c2 = Floats.zero
    var c3 = Floats.zero
    var c4 = Floats.zero
    var c5 = Floats.zero

    @inline(__always) init() {}

    @inline(__always) init(_ c: UnsafePointer<Float>, _ s: Int) {
      (c0, c1, c2) = (load(c), load(c + s), load(c + 2 &* s))
      (c3, c4, c5) = (load(c + 3 &* s), load(c + 4 &* s), load(c + 5 &* s))
    }

    @inline(__always) mutating func add(_ a: SixRows, _ k: Int, _ b: Floats) {
      c0 = c0.addingProduct(Floats(repeating: a.r0[k]), b)
      c1 = c1.addingProduct(Floats(repeating: a.r1[k]), b)
      c2 = c2.addingProduct(Floats(repeating: a.r2[k]), b)
      c3 = c3.addingProduct(Floats(repeating: a.r3[k]), b)
      c4 = c4.addingProduct(Floats(repeating: a.r4[k]), b)
      c5 = c5.addingProduct(Floats(repeating: a.r5[k]), b)
    }

    /// The first three rows, `s` floats apart, and the last three.
    @inline(__always) mutating func addUpper(_ a: UnsafePointer<Float>, _ s: Int, _ b: Floats) {
      c0 = c0.addingProduct(Floats(repeating: a[0]), b)
      c1 = c1.addingProduct(Floats(repeating: a[s]), b)
      c2 = c2.addingProduct(Floats(repeating: a[2 &* s]), b)
    }

    @inline(__always) mutating func addLower(_ a: UnsafePointer<Float>, _ s: Int, _ b: Floats) {
      c3 = c3.addingProduct(Floats(repeating: a[0]), b)
      c4 = c4.addingProduct(Floats(repeating: a[s]), b)
      c5 = c5.addingProduct(Floats(repeating: a[2 &* s]), b)
    }

    @inline(__always) func write(_ c: UnsafeMutablePointer<Float>, _ s: Int, _ adds: Bool) {
      var end = self
      if adds {
        let old = Six(c, s)
        (end.c0, end.c1, end.c2) = (old.c0 + c0, old.c1 + c1, old.c2 + c2)
        (end.c3, end.c4, end.c5) = (old.c3 + c3, old.c4 + c4, old.c5 + c5)
      }
      store(end.c0, c)
      store(end.c1, c + s)
      store(end.c2, c + 2 &* s)
      store(end.c3, c + 3 &* s)
      store(end.c4, c + 4 &* s)
      store(end.c5, c + 5 &* s)
    }
  }
}

/// Rows of up to 32 floats at an edge, by the bits of their length: of a loop the compiler makes a call of memcpy.
@inline(__always)
private func copyTile(
  _ a: UnsafePointer<Float>, _ aStride: Int, _ b: UnsafeMutablePointer<Float>, _ bStride: Int, _ rows: Int, _ lanes: Int
) {
  for r in 0..<rows {
    let (a, b) = (a + r &* aStride, b + r &* bStride)
    if lanes & 32 != 0 { copy(a, b, as: SIMD32<Float>.self) }
    if lanes & 16 != 0 { copy(a, b, as: SIMD16<Float>.self) }
    if lanes & 8 != 0 { copy(a + lanes & ~15, b + lanes & ~15, as: SIMD8<Float>.self) }
    if lanes & 4 != 0 { copy(a + lanes & ~7, b + lanes & ~7, as: SIMD4<Float>.self) }
    if lanes & 2 != 0 { copy(a + lanes & ~3, b + lanes & ~3, as: SIMD2<Float>.self) }
    if lanes & 1 != 0 { b[lanes & ~1] = a[lanes & ~1] }
  }
}

@inline(__always)
private func copy<V: SIMD>(_ a: UnsafePointer<Float>, _ b: UnsafeMutablePointer<Float>, as: V.Type) {
  UnsafeMutableRawPointer(b).storeBytes(of: UnsafeRawPointer(a).loadUnaligned(as: V.self), as: V.self)
}
