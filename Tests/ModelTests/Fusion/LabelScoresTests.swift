import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct LabelScoresTests {
  struct Fixture {
    let f: LayerFixture<LabelScores>
    let x: [Matrix]
    let scores, logits: Matrix

    init(samples: Int, modalities M: Int) throws {
      let c = tinyConfiguration(modalities: M)
      f = try LayerFixture { LabelScores(c, in: &$0) }
      x = try (0..<M).map { try random(samples * c.labels, c.hiddenSize, seed: 1 + UInt64($0)) }
      scores = try zeros(samples * c.labels, M)
      logits = try zeros(samples * c.labels, 1)
    }

    func forward() {
      for (m, x) in x.enumerated() { f.layer.forward(x, first: 0, modality: m, f.θ, into: scores) }
      f.layer.pool(scores, into: logits)
    }

    func backward(_ dlogits: Matrix) throws -> [Matrix] {
      let samples = dlogits.rows / 3
      defer { f.bySample.values.fill(0) }
      let dx = try x.enumerated().map { m, x in
        for s in 0..<samples {
          let rows = 3 * s..<3 * s + 3
          f.layer.backwardWeight(
            x.rows(rows), dlogits.rows(rows), scores: scores.rows(rows), modality: m, addingTo: f.bySample[s])
        }
        let dx = try zeros(x.rows, x.columns)
        f.layer.backwardInput(dlogits, scores: scores, first: 0, modality: m, f.θ, addingTo: dx)
        return dx
      }
      try f.gather([], samples: samples)
      return dx
    }
  }

  @Test(arguments: [(1, 1), (1, 3), (3, 2), (2, 4)]) func gradients(_ samples: Int, _ modalities: Int) throws {
    let x = try Fixture(samples: samples, modalities: modalities)
    let weights = try random(samples * 3, 1, seed: 9)
    let loss = { () -> Double in
      x.forward()
      return weightedSum(x.logits, weights)
    }
    _ = loss()
    let dx = try x.backward(weights)
    var check = GradientCheck(tolerance: 1e-3)
    for m in 0..<modalities { check.compare("x \(m)", x.x[m], dx[m], loss: loss) }
    x.f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")
  }

  /// Modalities that tie share the gradient equally, as PyTorch's amax has it.
  @Test func tiesShareEqually() throws {
    let x = try Fixture(samples: 2, modalities: 4)
    for m in [0, 2, 3] {
      x.x[m].copy(from: x.x[1])
      x.f.θ[x.f.layer.weights[m]].copy(from: x.f.θ[x.f.layer.weights[1]])
    }
    // All four tie for sample 0; for sample 1 the last loses or wins by a wide margin.
    for r in 3..<6 { for j in 0..<6 { x.x[3][r, j] *= 3 } }
    x.forward()
    let weights = try random(6, 1, seed: 9)
    let dx = try x.backward(weights)
    for r in 0..<6 {
      let wins = x.scores[r, 3] > x.scores[r, 0]
      for m in 0..<4 {
        let share: Float = r < 3 ? 0.25 : m == 3 ? (wins ? 1 : 0) : wins ? 0 : Float(1) / 3
        let w = x.f.θ[x.f.layer.weights[m]]
        for j in 0..<6 { #expect(abs(dx[m][r, j] - weights[r, 0] * share * w[r % 3, j]) < 1e-6) }
      }
      #expect(x.logits[r, 0] == max(x.scores[r, 0], x.scores[r, 3]))
    }
    for m in 0..<4 {
      let g = x.f.gradient[x.f.layer.weights[m]]
      for c in 0..<3 {
        let wins = x.scores[3 + c, 3] > x.scores[3 + c, 0]
        let second: Float = m == 3 ? (wins ? 1 : 0) : wins ? 0 : Float(1) / 3
        for j in 0..<6 {
          let expected = weights[c, 0] * 0.25 * x.x[m][c, j] + weights[3 + c, 0] * second * x.x[m][3 + c, j]
          #expect(abs(g[c, j] - expected) < 1e-5)
        }
      }
    }
  }
}
