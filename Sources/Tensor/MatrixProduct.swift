/// The right operand of products, b [inner, columns], in the order in which they read it.
///
/// A view like `Matrix`: valid as long as the memory's owner lives.
package struct PackedMatrix: @unchecked Sendable {
  // Proof of Sendable: an address, as `Matrix`.

  let base: UnsafeMutablePointer<Float>
  package let inner: Int
  package let columns: Int

  /// - Parameter base: `capacity` floats.
  package init(_ base: UnsafeMutablePointer<Float>, inner: Int, columns: Int) {
    (self.base, self.inner, self.columns) = (base, inner, columns)
  }

  /// In memory that it takes from a stack.
  package init(inner: Int, columns: Int, in scratch: inout Scratch) {
    self.init(scratch.floats(Self.capacity(inner: inner, columns: columns)), inner: inner, columns: columns)
  }

  /// Floats that a packed [inner, columns] takes: whole panels.
  package static func capacity(inner: Int, columns: Int) -> Int { inner * MatrixKernel.roundedToTile(columns) }

  /// Panels, which may be filled independently of one another.
  package var panelCount: Int { (columns + MatrixKernel.tileColumns - 1) / MatrixKernel.tileColumns }

  /// The floats of some panels, as rows one after the other: [1, n].
  package func floats(ofPanels range: Range<Int>) -> Matrix {
    let size = MatrixKernel.tileColumns * inner
    return Matrix(base + range.lowerBound * size, rows: 1, columns: range.count * size)
  }

  private func panels(_ range: Range<Int>) -> (columns: Range<Int>, base: UnsafeMutablePointer<Float>) {
    let width = MatrixKernel.tileColumns
    let columns = min(range.lowerBound * width, columns)..<min(range.upperBound * width, columns)
    return (columns, base + range.lowerBound * width * inner)
  }

  /// Fills some panels from b [inner, columns].
  package func fill(from b: Matrix, panels range: Range<Int>? = nil) {
    precondition(b.rows == inner && b.columns == columns, "[\(b.rows), \(b.columns)] for [\(inner), \(columns)]")
    let (part, base) = panels(range ?? 0..<panelCount)
    if !part.isEmpty { MatrixKernel.packRows(b.columns(part), into: base) }
  }

  /// Fills some panels from the transpose of b [columns, inner].
  package func fill(fromTransposed b: Matrix, panels range: Range<Int>? = nil) {
    precondition(b.rows == columns && b.columns == inner, "[\(b.columns), \(b.rows)] for [\(inner), \(columns)]")
    let (part, base) = panels(range ?? 0..<panelCount)
    if !part.isEmpty { MatrixKernel.packTransposed(b.rows(part), into: base) }
  }
}

/// Where the chains of a product begin, and what becomes of their ends.
package enum Accumulation {
  /// c ← a b.
  case replace
  /// c ← a b, chains begin at a row [columns].
  case onto(UnsafePointer<Float>)
  /// Chains begin at c.
  case extend
  /// c ← c + (a b), chains begin at 0.
  case add
}

/// Matrix products, float32, on the calling thread. An element of c is one chain of fused multiply-adds over the inner
/// index in increasing order, so its bits depend on its row of a, its column of b and its beginning alone: not on the other
/// rows and columns, nor on the instruction set.
package enum MatrixProduct {
  /// c [rows, columns] ← a [rows, inner] b.
  package static func multiply(
    _ a: Matrix, by b: PackedMatrix, into c: Matrix, _ accumulation: Accumulation = .replace
  ) {
    requireShapes(a.rows, a.columns, b.inner, b.columns, c)
    let inner = b.inner
    let target = target(c, accumulation)
    let block = MatrixKernel.rowBlock(inner)
    for i in stride(from: 0, to: a.rows, by: block) {
      MatrixKernel.multiply(
        rows: min(block, a.rows - i), inner: inner, columns: b.columns, a.base + i * a.stride, row: a.stride, step: 1,
        tile: MatrixKernel.tileRows * a.stride, packed: b.base, into: target.rows(from: i))
    }
    if ProductFault.isPlanned { ProductFault.spoil(c) }
  }

  /// c ← a b for b [inner, columns]. Scratch: `PackedMatrix.capacity`.
  package static func multiply(
    _ a: Matrix, by b: Matrix, into c: Matrix, _ accumulation: Accumulation = .replace, scratch: Scratch
  ) {
    var scratch = scratch
    let packed = PackedMatrix(inner: b.rows, columns: b.columns, in: &scratch)
    packed.fill(from: b)
    multiply(a, by: packed, into: c, accumulation)
  }

  /// c ← a bᵀ for b [columns, inner]. Scratch: `PackedMatrix.capacity`.
  package static func multiply(
    _ a: Matrix, byTransposed b: Matrix, into c: Matrix, _ accumulation: Accumulation = .replace, scratch: Scratch
  ) {
    var scratch = scratch
    let packed = PackedMatrix(inner: b.columns, columns: b.rows, in: &scratch)
    packed.fill(fromTransposed: b)
    multiply(a, by: packed, into: c, accumulation)
  }

  /// Floats of scratch of the product of a transposed matrix.
  package static func transposedScratch(inner: Int, rows: Int, columns: Int) -> Int {
    let k = min(inner, MatrixKernel.innerBlock)
    let m = min(rows, MatrixKernel.rowBlock(k))
    let panels = (m + MatrixKernel.tileRows - 1) / MatrixKernel.tileRows
    return Scratch.size(PackedMatrix.capacity(inner: k, columns: columns))
      // A vector of eight is written at the end of a panel's last row.
      + Scratch.size(panels * MatrixKernel.panelSize(k) + 16)
  }

  /// Whether a product of a transposed matrix over so many terms can be added to what is there (`Accumulation.add`).
  package static func canAdd(inner: Int) -> Bool { inner <= MatrixKernel.innerBlock }

  /// Of as many columns as this or fewer, too few tiles would repay the packing of a.
  private static let narrow = 64

  /// c [rows, columns] ← aᵀ b for a [inner, rows] and b [inner, columns]. Scratch: `transposedScratch`.
  package static func multiply(
    transposed a: Matrix, by b: Matrix, into c: Matrix, _ accumulation: Accumulation = .replace, scratch: Scratch
  ) {
    let inner = a.rows
    requireShapes(a.columns, inner, b.rows, b.columns, c)
    if case .add = accumulation {
      precondition(canAdd(inner: inner), "a sum of \(inner) terms can't be added at its end")
    }
    let (rows, columns) = (c.rows, c.columns)
    let blocks = max((inner + MatrixKernel.innerBlock - 1) / MatrixKernel.innerBlock, 1)
    for block in 0..<blocks {
      let k = inner * block / blocks..<inner * (block + 1) / blocks
      var scratch = scratch
      let packed = PackedMatrix(inner: k.count, columns: columns, in: &scratch)
      packed.fill(from: b.rows(k))
      let target = target(c, block == 0 ? accumulation : .extend)
      let height = MatrixKernel.rowBlock(k.count)
      let part = a.base + k.lowerBound * a.stride
      if columns <= narrow {
        MatrixKernel.multiply(
          rows: rows, inner: k.count, columns: columns, part, row: 1, step: a.stride, tile: MatrixKernel.tileRows,
          packed: packed.base, into: target)
        continue
      }
      let panelSize = MatrixKernel.panelSize(k.count)
      let tileRows = MatrixKernel.tileRows
      let panels = scratch.floats((min(height, rows) + tileRows - 1) / tileRows * panelSize + 16)
      for i in stride(from: 0, to: rows, by: height) {
        let count = min(height, rows - i)
        MatrixKernel.packColumns(part + i, a.stride, k.count, count, readable: rows - i, into: panels)
        MatrixKernel.multiply(
          rows: count, inner: k.count, columns: columns, panels, row: 1, step: tileRows, tile: panelSize,
          packed: packed.base, into: target.rows(from: i))
      }
    }
    if ProductFault.isPlanned { ProductFault.spoil(c) }
  }

  private static func requireShapes(_ rows: Int, _ inner: Int, _ bInner: Int, _ columns: Int, _ c: Matrix) {
    precondition(
      inner == bInner && c.rows == rows && c.columns == columns,
      "[\(rows), \(inner)] × [\(bInner), \(columns)] into [\(c.rows), \(c.columns)]")
  }

  private static func target(_ c: Matrix, _ accumulation: Accumulation) -> MatrixKernel.Target {
    let (start, stride, adds): (UnsafePointer<Float>?, Int, Bool) =
      switch accumulation {
      case .replace: (nil, 0, false)
      case .onto(let row): (row, 0, false)
      case .extend: (UnsafePointer(c.base), c.stride, false)
      case .add: (nil, 0, true)
      }
    return MatrixKernel.Target(c: c.base, stride: c.stride, start: start, startStride: stride, adds: adds)
  }
}
