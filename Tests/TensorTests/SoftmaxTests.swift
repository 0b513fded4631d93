import Foundation
import TestSupport
import Testing

@testable import Tensor

struct SoftmaxTests {
  @Test(arguments: [(1, 1), (3, 7), (2, 16), (3, 60), (0, 4)]) func matchesTheFormula(_ r: Int, _ c: Int) {
    let x = TestMatrix.random(r, c, seed: 1, deviation: 20)
    let p = TestMatrix(r, c)
    p.matrix.copy(from: x.matrix)
    Softmax.forward(p.matrix)
    for i in 0..<r {
      let top = (0..<c).map { Double(x.matrix[i, $0]) }.max() ?? 0
      let total = (0..<c).reduce(0.0) { $0 + exp(Double(x.matrix[i, $1]) - top) }
      for j in 0..<c { #expect(abs(Double(p.matrix[i, j]) - exp(Double(x.matrix[i, j]) - top) / total) < 1e-6) }
    }
  }

  @Test(arguments: [1, 16, 37]) func gradient(_ c: Int) {
    let x = TestMatrix.random(4, c, seed: 1)
    let weights = TestMatrix.random(4, c, seed: 2)
    let (p, d) = (TestMatrix(4, c), TestMatrix(4, c))
    func forward() {
      p.matrix.copy(from: x.matrix)
      Softmax.forward(p.matrix)
    }
    forward()
    d.matrix.copy(from: weights.matrix)
    Softmax.backward(p.matrix, d.matrix)
    if c == 1 { return #expect(d.values.allSatisfy { $0 == 0 }) }
    let check = GradientCheck.of(x.matrix, d.matrix, tolerance: 2e-3) {
      forward()
      return weightedSum(p.matrix, weights.matrix)
    }
    #expect(check.passes)
  }

  /// p f = e f / Σ of scaled x, and the gradient through it, with dd = d(p f) / Σ as attention has it; padding is ignored.
  @Test(arguments: [Float(0), 0.3], [1, 16, 37, 60]) func exponentialsWithDropout(_ probability: Float, _ c: Int) {
    let r = 4
    let stride = Softmax.paddedStride(c)
    let dropout = Dropout(probability: probability, key: RandomKey(seed: 8))
    let x = TestMatrix.random(r, c, seed: 1)
    let weights = TestMatrix.random(r, c, seed: 2)
    let (e, dropped, d) = (TestMatrix(r, stride), TestMatrix(r, stride), TestMatrix(r, stride))
    let (inverse, shares) = (TestMatrix(1, r), TestMatrix(1, r))
    func part(_ x: TestMatrix) -> Matrix { x.matrix.columns(0..<c) }
    func forward() {
      e.matrix.fill(.nan)
      part(e).copy(from: x.matrix)
      Softmax.exponentials(
        part(e), scale: 0.7, dropped: part(dropped), inverseSums: inverse.matrix.base, dropout: dropout, sample: 1,
        firstRow: 5)
    }
    func loss() -> Double {
      forward()
      var sum = 0.0
      for i in 0..<r {
        sum += Double(inverse.matrix[0, i]) * weightedSum(part(dropped).rows(i..<i + 1), weights.matrix.rows(i..<i + 1))
      }
      return sum
    }
    _ = loss()
    for i in 0..<r {
      let scale = inverse.matrix[0, i]
      #expect(abs((0..<c).reduce(Float(0)) { $0 + e.matrix[i, $1] } * scale - 1) < 1e-5)
      let (row, out) = (d.matrix.row(i), dropped.matrix.row(i))
      for j in 0..<c { row[j] = weights.matrix[i, j] * scale }
      shares.matrix[0, i] = scale * dot(out, row, count: c)
    }
    Softmax.backward(
      exponentials: part(e), dropped: part(dropped), shares: shares.matrix.base, scale: 0.7, part(d))
    if c == 1 && probability == 0 { return #expect(d.matrix[0, 0].magnitude < 1e-6) }
    #expect(GradientCheck.of(x.matrix, part(d), tolerance: 2e-3, loss: loss).passes)
  }
}
