import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct AggregationTests {
  /// Both blocks, the betas as they are and shuffled, feed one weight gradient.
  @Test(arguments: [1, 3]) func gradients(_ samples: Int) throws {
    let c = tinyConfiguration(modalities: 2)
    let f = try LayerFixture { Aggregation(c, in: &$0) }
    let rows = try Aggregation.Rows(f.layer, samples: samples, in: testArena)
    rows.x.input.copy(from: try random(2 * samples * 2, 3 * 6, seed: 1))
    let weights = try random(2 * samples * 2, 3, seed: 2)
    rows.d.output.copy(from: weights)
    let blocks = (0..<2).map { (x: rows.x.block($0, of: 2), d: rows.d.block($0, of: 2)) }
    let loss = { () -> Double in
      for block in blocks { f.layer.mlp.forward(block.x, f.θ) }
      return weightedSum(rows.x.output, weights)
    }
    _ = loss()
    for block in blocks { f.layer.mlp.backwardInput(block.x, block.d, f.θ) }
    for s in 0..<samples {
      for block in blocks { f.layer.mlp.addBiases(block.d.rows(2 * s..<2 * s + 2), to: f.bySample[s]) }
    }
    try f.gather(f.layer.mlp.weightSources(blocks.map(\.x), blocks.map(\.d), perSample: 2), samples: samples)
    var check = GradientCheck(tolerance: 1e-3)
    check.compare("betas", rows.x.input, rows.d.input, loss: loss)
    f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")
  }
}
