import Tensor

/// A matrix that owns its memory, for tests.
package final class TestMatrix: @unchecked Sendable {
  private let buffer: Buffer
  package let matrix: Matrix

  package init(_ rows: Int, _ columns: Int) {
    let buffer = Buffer(count: rows * columns)
    matrix = buffer.matrix(rows: rows, columns: columns)
    self.buffer = buffer
  }

  /// Standard normal values that depend on the seed alone.
  package static func random(_ rows: Int, _ columns: Int, seed: UInt64, deviation: Float = 1) -> TestMatrix {
    let x = TestMatrix(rows, columns)
    RandomKey(seed: seed).fillNormal(x.matrix.base, count: rows * columns, stream: 0, deviation: deviation)
    return x
  }

  package var values: [Float] { Array(matrix.elements) }
}

/// Σ x · weights in double precision: a loss whose gradient is `weights`.
package func weightedSum(_ x: Matrix, _ weights: Matrix) -> Double {
  var sum = 0.0
  for i in 0..<x.rows { for j in 0..<x.columns { sum += Double(x[i, j]) * Double(weights[i, j]) } }
  return sum
}
