import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct MLPTests {
  /// Forward and the input's gradient go block by block, the parameters' gradient over all rows.
  @Test(arguments: [(1, 1, 0, 1, 1), (3, 5, 0, 7, 1), (2, 5, 3, 4, 1), (1, 2, 1, 1, 3), (3, 7, 17, 5, 2)])
  func gradients(_ rows: Int, _ inputs: Int, _ hidden: Int, _ outputs: Int, _ blocks: Int) throws {
    let f = try LayerFixture { MLP("a", inputs: inputs, hiddenSize: hidden, outputs: outputs, in: &$0) }
    #expect(
      f.layout.parameters.map(\.name)
        == (hidden > 0 ? ["a.linear.0.weight", "a.linear.0.bias"] : []) + ["a.output.weight", "a.output.bias"])
    let x = try f.layer.makeRows(rows * blocks, in: testArena)
    let d = try f.layer.makeRows(rows * blocks, in: testArena)
    x.input.copy(from: try random(rows * blocks, inputs, seed: 1))
    let weights = try random(rows * blocks, outputs, seed: 2)
    d.input.fill(.nan)
    d.hidden.fill(.nan)
    d.output.copy(from: weights)
    let loss = { () -> Double in
      for i in 0..<blocks { f.layer.forward(x.block(i, of: blocks), f.θ) }
      return weightedSum(x.output, weights)
    }
    _ = loss()
    for i in (0..<blocks).reversed() {
      f.layer.backwardInput(x.block(i, of: blocks), d.block(i, of: blocks), f.θ)
    }
    // A sample of each block's rows.
    for i in 0..<blocks { f.layer.addBiases(d.block(i, of: blocks), to: f.bySample[0]) }
    let each = (0..<blocks).map { (x.block($0, of: blocks), d.block($0, of: blocks)) }
    try f.gather(f.layer.weightSources(each.map(\.0), each.map(\.1), perSample: rows), samples: 1)
    // Piecewise linear: rounding, and kinks, which are left out.
    var check = GradientCheck(tolerance: 5e-4)
    check.compare("x", x.input, d.input, loss: loss)
    f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")
  }

  @Test func matchesTheFormula() throws {
    let f = try LayerFixture { MLP("a", inputs: 3, hiddenSize: 4, outputs: 2, in: &$0) }
    let x = try f.layer.makeRows(5, in: testArena)
    x.input.copy(from: try random(5, 3, seed: 1))
    f.layer.forward(x, f.θ)
    func linear(_ v: [Double], _ l: Linear) -> [Double] {
      (0..<f.θ[l.weight].rows).map { o in
        v.indices.reduce(Double(f.θ[l.bias][0, o])) { $0 + v[$1] * Double(f.θ[l.weight][o, $1]) }
      }
    }
    let hidden = try #require(f.layer.hidden)
    for r in 0..<5 {
      let input = (0..<3).map { Double(x.input[r, $0]) }
      let expected = linear(linear(input, hidden).map { max($0, 0) }, f.layer.output)
      #expect(relativeDifference(values(x.output.rows(r..<r + 1)), expected) < 1e-5)
    }
  }
}
