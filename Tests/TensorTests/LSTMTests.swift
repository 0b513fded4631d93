import Foundation
import TestSupport
import Testing

@testable import Tensor

struct LSTMTests {
  /// A layer's rows for some samples of T steps, H units, with z and what reads h drawn at random.
  struct Fixture {
    let (samples, steps, units): (Int, Int, Int)
    let P: Int
    let z, gates, cells, hidden, gradient, weight, bias, packed: TestMatrix

    init(samples: Int, steps: Int, units: Int) {
      (self.samples, self.steps, self.units) = (samples, steps, units)
      P = LSTM.paddedSize(units)
      let rows = samples * steps
      z = .random(rows, 4 * P, seed: 1)
      gates = TestMatrix(rows, 4 * P)
      cells = TestMatrix(rows, P)
      hidden = TestMatrix(rows, P)
      gradient = .random(rows, P, seed: 2)
      weight = .random(4 * units, units, seed: 3, deviation: 0.4)
      bias = .random(4, P, seed: 4)
      packed = TestMatrix(1, LSTM.RecurrentWeights.capacity(units: units))
      // What a product with padded weights gives: zeros past H.
      for i in 0..<rows {
        for j in units..<P {
          gradient.matrix[i, j] = 0
          for q in 0..<4 { z.matrix[i, q * P + j] = 0 }
        }
      }
      for q in 0..<4 { for j in units..<P { bias.matrix[q, j] = 0 } }
    }

    func withSteps(_ chosen: Range<Int>, _ body: (UnsafeBufferPointer<LSTM.Steps>) -> Void) {
      let list = chosen.map { s in
        let rows = s * steps..<(s + 1) * steps
        return LSTM.Steps(
          gates: gates.matrix.rows(rows), cells: cells.matrix.rows(rows), hidden: hidden.matrix.rows(rows),
          hiddenGradient: gradient.matrix.rows(rows))
      }
      list.withUnsafeBufferPointer(body)
    }

    func forward(_ chosen: Range<Int>? = nil) {
      let weights = LSTM.RecurrentWeights(forward: weight.matrix, into: packed.matrix.base)
      for s in chosen ?? 0..<samples {
        let rows = s * steps..<(s + 1) * steps
        gates.matrix.rows(rows).copy(from: z.matrix.rows(rows))
      }
      withSteps(chosen ?? 0..<samples) { LSTM.forward($0, steps: steps, weights, bias: bias.matrix.base) }
    }

    func backward(_ chosen: Range<Int>? = nil) {
      let weights = LSTM.RecurrentWeights(backward: weight.matrix, into: packed.matrix.base)
      withSteps(chosen ?? 0..<samples) { LSTM.backward($0, steps: steps, weights) }
    }
  }

  static let sizes = [(1, 1, 1), (1, 4, 3), (3, 5, 16), (5, 3, 17), (4, 2, 33), (6, 3, 51)]

  @Test(arguments: sizes) func matchesTheFormula(_ size: (Int, Int, Int)) {
    let x = Fixture(samples: size.0, steps: size.1, units: size.2)
    let (T, H, P) = (x.steps, x.units, x.P)
    x.forward()
    var worst = 0.0
    func σ(_ v: Double) -> Double { 1 / (1 + exp(-v)) }
    for s in 0..<x.samples {
      var (h, c) = ([Double](repeating: 0, count: H), [Double](repeating: 0, count: H))
      for t in 0..<T {
        let z = (0..<4).map { q in
          (0..<H).map { j in
            (0..<H).reduce(Double(x.z.matrix[s * T + t, q * P + j]) + Double(x.bias.matrix[q, j])) {
              $0 + Double(x.weight.matrix[q * H + j, $1]) * h[$1]
            }
          }
        }
        for j in 0..<H {
          c[j] = σ(z[1][j]) * c[j] + σ(z[0][j]) * tanh(z[2][j])
          h[j] = σ(z[3][j]) * tanh(c[j])
          worst = max(worst, abs(h[j] - Double(x.hidden.matrix[s * T + t, j])))
          worst = max(worst, abs(c[j] - Double(x.cells.matrix[s * T + t, j])))
        }
      }
    }
    #expect(worst < 2e-6)
    for i in 0..<x.samples * T { for j in H..<P { #expect(x.hidden.matrix[i, j] == 0) } }
  }

  @Test(arguments: sizes) func gradients(_ size: (Int, Int, Int)) {
    let x = Fixture(samples: size.0, steps: size.1, units: size.2)
    let loss = { () -> Double in
      x.forward()
      return weightedSum(x.hidden.matrix, x.gradient.matrix)
    }
    _ = loss()
    x.backward()
    let dz = TestMatrix(x.z.matrix.rows, 4 * x.P)
    dz.matrix.copy(from: x.gates.matrix)
    var check = GradientCheck(tolerance: 1e-3)
    for q in 0..<4 {
      let columns = q * x.P..<q * x.P + x.units
      check.compare("z", x.z.matrix.columns(columns), dz.matrix.columns(columns), atMost: 40, loss: loss)
      for i in 0..<dz.matrix.rows {
        for j in columns.upperBound..<(q + 1) * x.P { #expect(dz.matrix[i, j] == 0) }
      }
    }
    #expect(check.passes, "\(check)")
  }

  /// A sample's bits are the same alone and among any others: what makes results independent of workers.
  @Test(arguments: [(7, 3, 51), (5, 4, 5), (9, 2, 32)]) func samplesDoNotMix(_ size: (Int, Int, Int)) {
    let together = Fixture(samples: size.0, steps: size.1, units: size.2)
    together.forward()
    let hidden = together.hidden.values.map(\.bitPattern)
    together.backward()
    for width in 1..<size.0 {
      let apart = Fixture(samples: size.0, steps: size.1, units: size.2)
      for first in stride(from: 0, to: size.0, by: width) {
        apart.forward(first..<min(first + width, size.0))
      }
      #expect(apart.hidden.values.map(\.bitPattern) == hidden)
      for first in stride(from: 0, to: size.0, by: width) {
        apart.backward(first..<min(first + width, size.0))
      }
      #expect(apart.gates.values.map(\.bitPattern) == together.gates.values.map(\.bitPattern))
    }
  }

  @Test func paddingAndBack() {
    let weight = TestMatrix.random(4 * 5, 3, seed: 1)
    let (padded, again) = (TestMatrix.random(4 * 32, 6, seed: 2), TestMatrix(4 * 5, 3))
    LSTM.pad(weight.matrix, into: padded.matrix)
    #expect(
      padded.matrix[32 + 4, 2] == weight.matrix[9, 2] && padded.matrix[32 + 5, 2] == 0 && padded.matrix[0, 3] == 0)
    LSTM.unpad(padded.matrix, into: again.matrix)
    #expect(again.values == weight.values)
    #expect([1, 32, 33, 51].map(LSTM.paddedSize) == [32, 32, 64, 64])
  }

  @Test func gateFunctions() {
    for i in -400...400 {
      let x = Float(i) * 0.03
      let (s, t) = (sigmoid(Floats(x))[3], hyperbolicTangent(Floats(x))[5])
      #expect(abs(Double(s) - 1 / (1 + exp(-Double(x)))) <= 4e-7 / (1 + exp(-Double(x))))
      #expect(abs(Double(t) - tanh(Double(x))) <= 5e-7 * abs(tanh(Double(x))))
    }
    #expect(sigmoid(Floats(-200))[0] < 1e-37 && sigmoid(Floats(200))[0] == 1)
    #expect(abs(hyperbolicTangent(Floats(-50))[0] + 1) < 1e-6)
  }
}
