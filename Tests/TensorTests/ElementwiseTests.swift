import TestSupport
import Testing

@testable import Tensor

struct ElementwiseTests {
  @Test(arguments: [(0, 3), (1, 1), (3, 16), (5, 21)]) func columnSums(_ r: Int, _ c: Int) {
    let x = TestMatrix.random(r, c, seed: 1)
    let sums = TestMatrix(1, c)
    sums.matrix.fill(1)
    addColumnSums(of: x.matrix, to: sums.matrix.base)
    for j in 0..<c {
      let expected = (0..<r).reduce(Float(1)) { $0 + x.matrix[$1, j] }
      #expect(abs(sums.matrix[0, j] - expected) < 1e-5)
    }
  }

  @Test(arguments: [0, 1, 16, 19]) func sums(_ count: Int) {
    let (x, y) = (TestMatrix.random(1, max(count, 1), seed: 1), TestMatrix.random(1, max(count, 1), seed: 2))
    let product = (0..<count).reduce(0.0) { $0 + Double(x.matrix[0, $1]) * Double(y.matrix[0, $1]) }
    #expect(abs(Double(dot(x.matrix.base, y.matrix.base, count: count)) - product) < 1e-5)
    let distance = (0..<count).reduce(0.0) {
      let d = Double(x.matrix[0, $1]) - Double(y.matrix[0, $1])
      return $0 + d * d
    }
    #expect(abs(Double(squaredDistance(x.matrix.base, y.matrix.base, count: count)) - distance) < 1e-4)
  }

  @Test func rectifier() {
    let x = TestMatrix.random(3, 21, seed: 1)
    let before = x.values
    ReLU.forward(x.matrix)
    let d = TestMatrix(3, 21)
    d.matrix.fill(2)
    ReLU.backward(output: x.matrix, d.matrix)
    for i in 0..<3 {
      for j in 0..<21 {
        let v = before[i * 21 + j]
        #expect(x.matrix[i, j] == max(v, 0))
        #expect(d.matrix[i, j] == (v > 0 ? 2 : 0))
      }
    }
  }

  @Test(arguments: [(0, 3), (3, 21)]) func scaling(_ r: Int, _ c: Int) {
    let wide = TestMatrix.random(r, c + 2, seed: 1)
    let before = wide.values
    scale(wide.matrix.columns(1..<c + 1), by: -3)
    for i in 0..<r {
      for j in 0..<c + 2 {
        #expect(wide.matrix[i, j] == (1...c ~= j ? -3 : 1) * before[i * (c + 2) + j])
      }
    }
  }

  @Test(arguments: [1, 16, 20]) func unitLength(_ c: Int) {
    let x = TestMatrix.random(4, c, seed: 3)
    let weights = TestMatrix.random(4, c, seed: 4)
    let (u, d, inverse) = (TestMatrix(4, c), TestMatrix(4, c), TestMatrix(1, 4))
    func forward() { UnitLength.forward(x.matrix, into: u.matrix, inverseLength: inverse.matrix.base) }
    forward()
    for i in 0..<4 { #expect(abs(dot(u.matrix.row(i), u.matrix.row(i), count: c) - 1) < 1e-5) }
    UnitLength.backward(weights.matrix, unit: u.matrix, inverseLength: inverse.matrix.base, into: d.matrix)
    if c > 1 {
      let check = GradientCheck.of(x.matrix, d.matrix, tolerance: 5e-3) {
        forward()
        return weightedSum(u.matrix, weights.matrix)
      }
      #expect(check.passes)
    }
  }

  @Test func aRowOfZerosHasUnitLengthZero() {
    let (x, u, inverse) = (TestMatrix(1, 5), TestMatrix(1, 5), TestMatrix(1, 1))
    UnitLength.forward(x.matrix, into: u.matrix, inverseLength: inverse.matrix.base)
    #expect(u.values == [0, 0, 0, 0, 0])
  }
}
