/// A view of float32 rows in memory that someone else owns: [rows, columns], row-major, `stride` floats from one row to the next.
///
/// Kernels take and return these; owners are `Buffer` here and `Arena` in `Parallel`. A view is valid as
/// long as its owner lives.
package struct Matrix: @unchecked Sendable {
  // Proof of Sendable: an address; who may write where, and when, is settled by the phases of a step (each row has one writer in a phase,
  // and barriers lie between phases), not by the type.

  package let base: UnsafeMutablePointer<Float>
  package let rows: Int
  package let columns: Int
  package let stride: Int

  @inlinable
  package init(_ base: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
    precondition(rows >= 0 && columns >= 0, "matrix of \(rows) × \(columns)")
    precondition(rows <= 1 || stride ?? columns >= columns, "stride \(stride ?? columns) under \(columns) columns")
    self.base = base
    self.rows = rows
    self.columns = columns
    self.stride = stride ?? columns
  }

  /// Number of elements, without what lies between rows.
  @inlinable package var count: Int { rows * columns }

  /// Whether rows follow one another without a gap.
  @inlinable package var isContiguous: Bool { stride == columns || rows <= 1 }

  /// The address of row `i`, `columns` floats long.
  @inlinable package func row(_ i: Int) -> UnsafeMutablePointer<Float> {
    assert(i >= 0 && i < rows, "row \(i) of \(rows)")
    return base + i * stride
  }

  @inlinable package subscript(i: Int, j: Int) -> Float {
    get {
      assert(j >= 0 && j < columns, "column \(j) of \(columns)")
      return row(i)[j]
    }
    nonmutating set { row(i)[j] = newValue }
  }

  /// The view of some of its rows.
  @inlinable package func rows(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
    return Matrix(base + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  /// The view of some of its columns.
  @inlinable package func columns(_ range: Range<Int>) -> Matrix {
    precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns \(range) of \(columns)")
    return Matrix(base + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }

  /// All elements in a contiguous view.
  @inlinable package var elements: UnsafeMutableBufferPointer<Float> {
    precondition(isContiguous, "rows \(stride) apart are not contiguous over \(columns) columns")
    return UnsafeMutableBufferPointer(start: base, count: count)
  }

  /// Sets every element.
  package func fill(_ value: Float) {
    if isContiguous {
      base.update(repeating: value, count: count)
    } else {
      for i in 0..<rows { row(i).update(repeating: value, count: columns) }
    }
  }

  /// Copies the elements of a matrix of the same shape.
  package func copy(from other: Matrix) {
    precondition(rows == other.rows && columns == other.columns, "shapes differ")
    for i in 0..<rows { row(i).update(from: other.row(i), count: columns) }
  }
}
