import Foundation
import Testing

@testable import Tensor

struct ElementaryFunctionsTests {
  /// Against the C library, which is right to the last bit or two.
  @Test func matchTheCLibrary() {
    let key = RandomKey(seed: 5)
    for i in 0..<20_000 {
      let (a, b) = key.words(1, UInt32(i))
      let (u, v) = (Double(a) * 0x1p-32, Double(b) * 0x1p-32)
      let x = (u - 0.5) * (i.isMultiple(of: 2) ? 1400 : 4)
      #expect(abs(exponential(x) - exp(x)) <= 1e-15 * exp(x), "e^\(x)")
      let y = exp((v - 0.5) * (i.isMultiple(of: 2) ? 1000 : 1))
      #expect(abs(logarithm(y) - log(y)) <= 1e-15 * max(abs(log(y)), 1e-300), "ln \(y)")
      let turns = (u - 0.5) * 40
      let (sine, cosine) = sineAndCosine(turns: turns)
      // The angle itself is rounded on the library's side.
      #expect(abs(sine - sin(2 * .pi * turns)) < 3e-14 && abs(cosine - cos(2 * .pi * turns)) < 3e-14)
      #expect(abs(sine * sine + cosine * cosine - 1) < 4e-16)
      let logit = Float(x)
      #expect(abs(Double(sigmoid(logit)) - 1 / (1 + exp(-Double(logit)))) <= 6e-8)
      let loss = max(Double(logit), 0) - Double(logit) + log1p(exp(-abs(Double(logit))))
      #expect(abs(Double(binaryCrossEntropy(logit: logit, target: 1)) - loss) <= 1.3e-7 * max(loss, abs(Double(logit))))
    }
  }

  /// PyTorch's formula: (1 − y) x + (1 + (w − 1) y) (ln(1 + e^-|x|) + max(−x, 0)), and its derivative.
  @Test func weightedCrossEntropy() {
    for w in [0.25, 1, 3.5] {
      for y in [0.0, 0.3, 1] {
        for x in [-80, -7.5, -0.1, 0, 0.4, 9, 80] {
          let softplus = log1p(exp(-abs(x))) + max(-x, 0)
          let loss = (1 - y) * x + (1 + (w - 1) * y) * softplus
          let slope = (1 - y) - (1 + (w - 1) * y) / (1 + exp(x))
          let (a, b, c) = (Float(x), Float(y), Float(w))
          let found = binaryCrossEntropy(logit: a, target: b, positiveWeight: c)
          let gradient = binaryCrossEntropyGradient(logit: a, target: b, positiveWeight: c)
          #expect(abs(Double(found) - loss) <= 4e-7 * max(abs(x), 1) * max(w, 1), "x \(x), y \(y), w \(w)")
          #expect(abs(Double(gradient) - slope) <= 3e-7 * max(w, 1), "x \(x), y \(y), w \(w)")
          if w == 1 {
            #expect(found == binaryCrossEntropy(logit: a, target: b) && gradient == sigmoid(a) - b)
          }
        }
      }
    }
  }

  @Test func ends() {
    #expect(exponential(0.0) == 1 && exponential(-1000.0) == 0 && exponential(1000.0) == .infinity)
    #expect(exponential(Double.nan).isNaN && exponential(-Double.infinity) == 0)
    #expect(logarithm(1.0) == 0 && logarithm(0.0) == -.infinity && logarithm(-1.0).isNaN)
    #expect(logarithm(Double.infinity) == .infinity && logarithm(Double.nan).isNaN)
    #expect(abs(logarithm(Double.leastNonzeroMagnitude) - log(Double.leastNonzeroMagnitude)) < 1e-12)
    #expect(sineAndCosine(turns: 0.25) == (1, 0) && sineAndCosine(turns: 0.5) == (0, -1))
    #expect(binaryCrossEntropy(logit: 60, target: 1) > 0)
  }
}
