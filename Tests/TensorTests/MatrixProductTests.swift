import TestSupport
import Testing

@testable import Tensor

struct MatrixProductTests {
  @Test(arguments: [(1, 1, 1), (3, 5, 7), (16, 20, 33), (0, 4, 2), (4, 0, 2)], [false, true])
  func matchesTheDefinition(_ shape: (Int, Int, Int), _ transposed: Bool) {
    let (m, k, n) = shape
    MatrixProduct.useOneThread()
    let a = transposed ? TestMatrix.random(k, m, seed: 1) : .random(m, k, seed: 1)
    let b = transposed ? TestMatrix.random(n, k, seed: 2) : .random(k, n, seed: 2)
    let c = TestMatrix.random(m, n, seed: 3)
    let before = c.values
    if transposed {
      MatrixProduct.multiply(
        a.matrix, transposed: true, byTransposed: b.matrix, into: c.matrix, scale: 2, keep: 0.5)
    } else {
      MatrixProduct.multiply(a.matrix, by: b.matrix, into: c.matrix, scale: 2, keep: 0.5)
    }
    for i in 0..<m {
      for j in 0..<n {
        let sum = (0..<k).reduce(0.0) {
          let (x, y) = transposed ? (a.matrix[$1, i], b.matrix[j, $1]) : (a.matrix[i, $1], b.matrix[$1, j])
          return $0 + Double(x) * Double(y)
        }
        #expect(abs(Double(c.matrix[i, j]) - (2 * sum + 0.5 * Double(before[i * n + j]))) < 1e-4)
      }
    }
  }

  @Test func workOnPartsOfWiderRows() {
    let wide = TestMatrix.random(4, 30, seed: 1)
    let b = TestMatrix.random(10, 6, seed: 2)
    let (out, expected) = (TestMatrix(4, 12), TestMatrix(4, 6))
    let narrow = TestMatrix(4, 10)
    narrow.matrix.copy(from: wide.matrix.columns(10..<20))
    MatrixProduct.multiply(wide.matrix.columns(10..<20), by: b.matrix, into: out.matrix.columns(6..<12))
    MatrixProduct.multiply(narrow.matrix, by: b.matrix, into: expected.matrix)
    for i in 0..<4 {
      for j in 0..<6 {
        #expect(out.matrix[i, j] == 0)
        #expect(abs(out.matrix[i, 6 + j] - expected.matrix[i, j]) < 1e-5)
      }
    }
  }
}
