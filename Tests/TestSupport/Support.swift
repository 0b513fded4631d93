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

/// The worst difference between a gradient and central finite differences of a loss, relative to the gradient's
/// largest magnitude.
///
/// - Parameters:
///   - x: what the loss depends on; changed and restored.
///   - gradient: d loss/d x as backward gave it.
///   - step: the finite difference's step.
package func worstGradientError(
  of x: Matrix, gradient: Matrix, step: Float = 1e-2, loss: () -> Double
) -> Double {
  precondition(x.rows == gradient.rows && x.columns == gradient.columns)
  var (worst, magnitude) = (0.0, 1e-12)
  for i in 0..<x.rows {
    for j in 0..<x.columns {
      let value = x[i, j]
      x[i, j] = value + step
      let above = loss()
      x[i, j] = value - step
      let below = loss()
      x[i, j] = value
      let numeric = (above - below) / Double((value + step) - (value - step))
      let difference = abs(numeric - Double(gradient[i, j]))
      // Not max(), which forgets NaN.
      if difference > worst || difference.isNaN { worst = difference }
      magnitude = max(magnitude, abs(Double(gradient[i, j])))
    }
  }
  return worst / magnitude
}

/// Σ x · weights in double precision: a loss whose gradient is `weights`.
package func weightedSum(_ x: Matrix, _ weights: Matrix) -> Double {
  var sum = 0.0
  for i in 0..<x.rows { for j in 0..<x.columns { sum += Double(x[i, j]) * Double(weights[i, j]) } }
  return sum
}
