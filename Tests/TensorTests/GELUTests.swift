import Foundation
import TestSupport
import Testing

@testable import Tensor

struct GELUTests {
  @Test(arguments: [(1, 1), (3, 17), (2, 48), (0, 5)]) func valuesAndGradients(_ r: Int, _ c: Int) {
    let x = TestMatrix.random(r, c, seed: 1, deviation: 2)
    let bias = TestMatrix.random(1, c, seed: 2)
    let weights = TestMatrix.random(r, c, seed: 3)
    let (u, g, again) = (TestMatrix(r, c), TestMatrix(r, c), TestMatrix(r, c))
    func forward() {
      u.matrix.copy(from: x.matrix)
      GELU.forward(u.matrix, bias: bias.matrix.base, into: g.matrix)
    }
    forward()
    for i in 0..<r {
      for j in 0..<c {
        let v = Double(x.matrix[i, j] + bias.matrix[0, j])
        #expect(abs(Double(g.matrix[i, j]) - v * 0.5 * (1 + erf(v / 2.0.squareRoot()))) < 2e-6)
      }
    }
    let (d, dbias) = (TestMatrix(r, c), TestMatrix(1, c))
    d.matrix.copy(from: weights.matrix)
    GELU.backward(u.matrix, d.matrix, output: again.matrix, addingTo: dbias.matrix.base)
    #expect(again.values == g.values)
    let loss = { () -> Double in
      forward()
      return weightedSum(g.matrix, weights.matrix)
    }
    #expect(worstGradientError(of: x.matrix, gradient: d.matrix, loss: loss) < 2e-3)
    #expect(worstGradientError(of: bias.matrix, gradient: dbias.matrix, loss: loss) < 2e-3)
  }
}
