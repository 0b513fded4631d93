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
    let blocks = [rows.plain(2 * samples), rows.shuffled(2 * samples)]
    let loss = { () -> Double in
      for block in blocks { f.layer.mlp.forward(block.x, f.θ) }
      return weightedSum(rows.x.output, weights)
    }
    _ = loss()
    for block in blocks { f.layer.mlp.backwardInput(block.x, block.d, f.θ) }
    f.layer.mlp.backwardParameters(
      rows.x, rows.d, scratch: try scratch(CARAT.scratchSize(c, samples: samples)), into: f.gradient)
    var check = GradientCheck(tolerance: 1e-3)
    check.compare("betas", rows.x.input, rows.d.input, loss: loss)
    f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")
  }

  @Test func partsOfBlocks() throws {
    let f = try LayerFixture { Aggregation(tinyConfiguration(), in: &$0) }
    let rows = try Aggregation.Rows(f.layer, samples: 4, in: testArena)
    #expect(rows.plain(6).x.input.base == rows.x.input.base && rows.plain(6).x.input.rows == 6)
    #expect(rows.shuffled(6).d.output.base == rows.d.output.row(12) && rows.shuffled(6).d.output.rows == 6)
  }
}
