import Foundation
import TestSupport
import Testing

@testable import Tensor

struct GELUTests {
  @Test(arguments: [(1, 1), (3, 17), (2, 48), (0, 5)]) func valuesAndGradients(_ r: Int, _ c: Int) {
    let u = TestMatrix.random(r, c, seed: 1, deviation: 2)
    let weights = TestMatrix.random(r, c, seed: 3)
    let g = TestMatrix(r, c)
    GELU.forward(u.matrix, into: g.matrix)
    for i in 0..<r {
      for j in 0..<c {
        let v = Double(u.matrix[i, j])
        #expect(abs(Double(g.matrix[i, j]) - v * 0.5 * (1 + erf(v / 2.0.squareRoot()))) < 2e-6)
      }
    }
    // The gradient takes the place of u, gelu(u) that of its own gradient.
    let (d, again, dbias) = (TestMatrix(r, c), TestMatrix(r, c), TestMatrix(1, c))
    d.matrix.copy(from: u.matrix)
    again.matrix.copy(from: weights.matrix)
    GELU.backward(d.matrix, again.matrix, addingTo: dbias.matrix.base)
    #expect(again.values == g.values)
    let loss = { () -> Double in
      GELU.forward(u.matrix, into: g.matrix)
      return weightedSum(g.matrix, weights.matrix)
    }
    if r > 0 { #expect(GradientCheck.of(u.matrix, d.matrix, tolerance: 2e-3, loss: loss).passes) }
    for j in 0..<c {
      #expect(abs(dbias.matrix[0, j] - (0..<r).reduce(Float(0)) { $0 + d.matrix[$1, j] }) < 1e-5)
    }
  }
}
