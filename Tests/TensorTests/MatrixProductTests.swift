import TestSupport
import Testing

@testable import Tensor

/// A value of every scale: sums of such round at every addition, so that another order shows in the bits.
struct MatrixProductTests {
  /// Sizes around tiles of 6 × 16 and 12 × 32, of blocks over k and of rows, and nothing at all.
  static let shapes = [
    (1, 1, 1), (3, 5, 7), (6, 20, 16), (7, 33, 17), (12, 64, 32), (13, 31, 33), (25, 40, 95), (0, 4, 2), (4, 0, 2),
    (5, 3, 0), (60, 32, 60), (61, 257, 66), (2, 700, 70), (130, 513, 65),
  ]

  enum Kind: CaseIterable { case plain, byTransposed, transposed, packed, packedByPanels }

  /// One chain of fused multiply-adds over k, as the documentation has it.
  private func chain(_ begin: Float, _ k: Int, _ a: (Int) -> Float, _ b: (Int) -> Float) -> Float {
    (0..<k).reduce(begin) { $0.addingProduct(a($1), b($1)) }
  }

  private func scratch(_ count: Int) -> (TestMatrix, Scratch) {
    let memory = TestMatrix(1, count)
    return (memory, Scratch(memory.matrix))
  }

  @Test(arguments: shapes, Kind.allCases) func everyElementIsOneChain(_ shape: (Int, Int, Int), _ kind: Kind) {
    let (m, k, n) = shape
    let (a, b) = (TestMatrix.random(m, k, seed: 1), TestMatrix.random(k, n, seed: 2))
    let (aTransposed, bTransposed) = (TestMatrix(k, m), TestMatrix(n, k))
    for i in 0..<m { for p in 0..<k { aTransposed.matrix[p, i] = a.matrix[i, p] } }
    for j in 0..<n { for p in 0..<k { bTransposed.matrix[j, p] = b.matrix[p, j] } }
    let bias = TestMatrix.random(1, n, seed: 4)
    let size = max(
      PackedMatrix.capacity(inner: k, columns: n), MatrixProduct.transposedScratch(inner: k, rows: m, columns: n))
    let (memory, scratch) = scratch(Scratch.size(size))
    for (accumulation, begins, adds) in [
      (Accumulation.replace, false, false), (.onto(bias.matrix.base), true, false), (.extend, false, false),
      (.add, false, true),
    ] {
      if adds && kind == .transposed && k > MatrixKernel.innerBlock { continue }
      let c = TestMatrix.random(m, n, seed: 3)
      let before = c.values
      memory.matrix.fill(.nan)
      switch kind {
      case .plain: MatrixProduct.multiply(a.matrix, by: b.matrix, into: c.matrix, accumulation, scratch: scratch)
      case .byTransposed:
        MatrixProduct.multiply(
          a.matrix, byTransposed: bTransposed.matrix, into: c.matrix, accumulation, scratch: scratch)
      case .transposed:
        MatrixProduct.multiply(
          transposed: aTransposed.matrix, by: b.matrix, into: c.matrix, accumulation, scratch: scratch)
      case .packed, .packedByPanels:
        let packed = PackedMatrix(memory.matrix.base, inner: k, columns: n)
        if kind == .packed {
          packed.fill(fromTransposed: bTransposed.matrix)
        } else {
          for panel in (0..<packed.panelCount).reversed() { packed.fill(from: b.matrix, panels: panel..<panel + 1) }
        }
        MatrixProduct.multiply(a.matrix, by: packed, into: c.matrix, accumulation)
      }
      var expected: [Float] = []
      for i in 0..<m {
        for j in 0..<n {
          let old = before[i * n + j]
          let begin: Float = if case .extend = accumulation { old } else { begins ? bias.matrix[0, j] : 0 }
          let sum = chain(begin, k, { a.matrix[i, $0] }, { b.matrix[$0, j] })
          expected.append(adds ? old + sum : sum)
        }
      }
      #expect(c.values.map(\.bitPattern) == expected.map(\.bitPattern), "\(accumulation)")
    }
  }

  /// A row's bits do not depend on what other rows are multiplied beside it, nor a column's on other columns.
  @Test func rowsAndColumnsAreIndependent() {
    let (a, b) = (TestMatrix.random(31, 90, seed: 1), TestMatrix.random(90, 70, seed: 2))
    let (memory, scratch) = scratch(Scratch.size(PackedMatrix.capacity(inner: 90, columns: 70)))
    defer { withExtendedLifetime(memory) {} }
    let all = TestMatrix(31, 70)
    MatrixProduct.multiply(a.matrix, by: b.matrix, into: all.matrix, scratch: scratch)
    let parts = TestMatrix(31, 70)
    for rows in [0..<1, 1..<8, 8..<29, 29..<31] {
      for columns in [0..<5, 5..<6, 6..<38, 38..<70] {
        MatrixProduct.multiply(
          a.matrix.rows(rows), by: b.matrix.columns(columns), into: parts.matrix.rows(rows).columns(columns),
          scratch: scratch)
      }
    }
    #expect(parts.values == all.values)
  }

  /// Operands and results within wider rows; what lies beside the result stays.
  @Test func workOnPartsOfWiderRows() {
    let wide = TestMatrix.random(15, 30, seed: 1)
    let b = TestMatrix.random(10, 40, seed: 2)
    let (out, expected) = (TestMatrix(15, 50), TestMatrix(15, 37))
    let narrow = TestMatrix(15, 10)
    narrow.matrix.copy(from: wide.matrix.columns(10..<20))
    let (memory, scratch) = scratch(Scratch.size(PackedMatrix.capacity(inner: 10, columns: 37)))
    defer { withExtendedLifetime(memory) {} }
    let right = b.matrix.columns(1..<38)
    MatrixProduct.multiply(
      wide.matrix.columns(10..<20), by: right, into: out.matrix.columns(6..<43), scratch: scratch)
    MatrixProduct.multiply(narrow.matrix, by: right, into: expected.matrix, scratch: scratch)
    for i in 0..<15 {
      for j in 0..<50 { #expect(out.matrix[i, j] == (6..<43 ~= j ? expected.matrix[i, j - 6] : 0)) }
    }
  }

  /// Denormal numbers count, as they would not where a processor flushes them to 0.
  @Test func denormalsAreKept() {
    let (a, b, c) = (TestMatrix(1, 1), TestMatrix(1, 1), TestMatrix(1, 1))
    (a.matrix[0, 0], b.matrix[0, 0]) = (1e-30, 1e-10)
    let (memory, scratch) = scratch(Scratch.size(PackedMatrix.capacity(inner: 1, columns: 1)))
    defer { withExtendedLifetime(memory) {} }
    MatrixProduct.multiply(a.matrix, by: b.matrix, into: c.matrix, scratch: scratch)
    #expect(c.matrix[0, 0] > 0 && c.matrix[0, 0].isSubnormal)
  }
}
