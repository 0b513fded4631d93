import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct LinearTests {
  @Test(arguments: [(1, 1, 1), (3, 5, 7), (2, 17, 33), (4, 1, 3)])
  func gradients(_ rows: Int, _ inputs: Int, _ outputs: Int) throws {
    let f = try LayerFixture { Linear("a", inputs: inputs, outputs: outputs, in: &$0) }
    let (x, y) = (try random(rows, inputs, seed: 1), try zeros(rows, outputs))
    let weights = try random(rows, outputs, seed: 2)
    let loss = { () -> Double in
      f.layer.forward(x, f.θ, into: y)
      return weightedSum(y, weights)
    }
    let dx = try zeros(rows, inputs)
    dx.fill(.nan)
    f.layer.backwardInput(weights, f.θ, into: dx)
    try f.gather(linear: f.layer, x, weights)
    // The layer is linear, so only rounding is left.
    var check = GradientCheck(tolerance: 3e-4)
    check.compare("x", x, dx, loss: loss)
    f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")

    let before = values(dx)
    f.layer.backwardInput(weights, f.θ, into: dx, .extend)
    for (twice, once) in zip(values(dx), before) { #expect(abs(twice - 2 * once) <= 1e-5 * (1 + abs(once))) }
  }

  @Test func noRowsGiveNoGradient() throws {
    let f = try LayerFixture { Linear("a", inputs: 3, outputs: 2, in: &$0) }
    let (x, y) = (try zeros(0, 3), try zeros(0, 2))
    f.layer.forward(x, f.θ, into: y)
    try f.gather(linear: f.layer, x, y)
    #expect(values(f.gradient[f.layer.weight]) == [Float](repeating: 0, count: 6))
    #expect(values(f.gradient[f.layer.bias]) == [0, 0])
  }

  @Test func matchesTheFormula() throws {
    let f = try LayerFixture { Linear("a", inputs: 5, outputs: 3, in: &$0) }
    let (x, y) = (try random(4, 5, seed: 1), try zeros(4, 3))
    f.layer.forward(x, f.θ, into: y)
    let (w, b) = (f.θ[f.layer.weight], f.θ[f.layer.bias])
    #expect((w.rows, w.columns) == (3, 5))
    for r in 0..<4 {
      for o in 0..<3 {
        let expected = (0..<5).reduce(Double(b[0, o])) { $0 + Double(x[r, $1]) * Double(w[o, $1]) }
        #expect(abs(Double(y[r, o]) - expected) < 1e-5)
      }
    }
  }
}

extension LayerFixture {
  /// Gradients of a linear layer over all rows of one sample.
  fileprivate func gather(linear: Linear, _ x: Matrix, _ dy: Matrix) throws {
    addColumnSums(of: dy, to: bySample[0].pointer(linear.bias))
    try gather([WeightSource(linear.weight, perSample: x.rows) { $1(dy, x) }], samples: 1)
  }
}
