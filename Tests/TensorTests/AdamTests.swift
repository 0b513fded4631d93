import Foundation
import TestSupport
import Testing

@testable import Tensor

struct AdamTests {
  @Test(arguments: [0, 1, 16, 35]) func matchesTheFormula(_ count: Int) {
    let n = max(count, 1)
    let (θ, g) = (TestMatrix.random(1, n, seed: 1), TestMatrix.random(1, n, seed: 2))
    let (m, v) = (TestMatrix.random(1, n, seed: 3), TestMatrix.random(1, n, seed: 4))
    for i in 0..<n { v.matrix[0, i] = abs(v.matrix[0, i]) }
    let before = (θ.values, m.values, v.values)
    Adam().update(
      θ.matrix.base, gradient: g.matrix.base, first: m.matrix.base, second: v.matrix.base, count: count,
      gradientScale: 0.5, rate: 0.1, weightDecay: 0.01)
    for i in 0..<n {
      if i >= count {
        #expect(θ.matrix[0, i] == before.0[i])
        continue
      }
      let gradient = 0.5 * Double(g.matrix[0, i])
      let first = 0.9 * Double(before.1[i]) + 0.1 * gradient
      let second = 0.999 * Double(before.2[i]) + 0.001 * gradient * gradient
      let expected = Double(before.0[i]) - 0.1 * (first / (second.squareRoot() + 1e-6) + 0.01 * Double(before.0[i]))
      #expect(abs(Double(θ.matrix[0, i]) - expected) < 1e-5)
      #expect(abs(Double(m.matrix[0, i]) - first) < 1e-6)
    }
  }
}
