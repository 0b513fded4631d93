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

  @Test(arguments: [Float(0), 0.3]) func gradientThroughDropout(_ probability: Float) {
    let (r, c) = (4, 37)
    let dropout = Dropout(probability: probability, key: RandomKey(seed: 8))
    let x = TestMatrix.random(r, c, seed: 1)
    let weights = TestMatrix.random(r, c, seed: 2)
    let (p, dropped, d) = (TestMatrix(r, c), TestMatrix(r, c), TestMatrix(r, c))
    func forward() {
      p.matrix.copy(from: x.matrix)
      Softmax.forward(p.matrix, dropped: dropped.matrix, dropout: dropout, sample: 1, firstRow: 5)
    }
    forward()
    d.matrix.copy(from: weights.matrix)
    Softmax.backward(p.matrix, dropped: dropped.matrix, d.matrix)
    let error = worstGradientError(of: x.matrix, gradient: d.matrix) {
      forward()
      return weightedSum(dropped.matrix, weights.matrix)
    }
    #expect(error < 2e-3)
  }
}
