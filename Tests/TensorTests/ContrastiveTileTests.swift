import Foundation
import TestSupport
import Testing

@testable import Tensor

struct ContrastiveTileTests {
  @Test(arguments: [(1, 1), (5, 16), (4, 37)]) func sumsAndWeights(_ r: Int, _ c: Int) {
    let x = TestMatrix.random(r, c, seed: 1, deviation: 0.4)
    x.matrix[r - 1, c - 1] = ContrastiveTile.excluded
    let temperature: Float = 0.07
    func e(_ i: Int, _ j: Int) -> Double {
      i == r - 1 && j == c - 1 ? 0 : exp((Double(x.matrix[i, j]) - 1) / Double(temperature))
    }
    let (rows, columns) = (TestMatrix(1, r), TestMatrix(1, c))
    rows.matrix.fill(1)
    ContrastiveTile.addExponentialSums(
      of: x.matrix, temperature: temperature, rowSums: rows.matrix.base, columnSums: columns.matrix.base)
    for i in 0..<r {
      let expected = (0..<c).reduce(1.0) { $0 + e(i, $1) }
      #expect(abs(Double(rows.matrix[0, i]) - expected) < 1e-5 * expected)
    }
    for j in 0..<c {
      let expected = (0..<r).reduce(0.0) { $0 + e($1, j) }
      #expect(abs(Double(columns.matrix[0, j]) - expected) <= 1e-5 * expected)
    }
    let weights = (0..<r).map { i in (0..<c).map { e(i, $0) * (Double(i) + 2 + Double($0) / 10) } }
    let rowFactors = (0..<r).map { Float($0) + 2 }
    let columnFactors = (0..<c).map { Float($0) / 10 }
    ContrastiveTile.weigh(
      x.matrix, temperature: temperature, rowFactors: rowFactors, columnFactors: columnFactors)
    for i in 0..<r {
      for j in 0..<c { #expect(abs(Double(x.matrix[i, j]) - weights[i][j]) <= 1e-5 * weights[i][j]) }
    }
  }
}
