import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct TransformerLayerTests {
  struct Fixture {
    let f: LayerFixture<TransformerLayer>
    let x, y: Matrix
    let a: TransformerLayer.Activations
    let g: TransformerLayer.Gradients
    let table: SequenceTable
    var sequences: Sequences { table.sequences }
    let dropouts: DropoutSites
    let scratch: Scratch

    init(_ lengths: [Int], hidden D: Int, heads: Int, feedForward: Int, dropout: Float, inTurn: Bool = false)
      throws
    {
      var c = tinyConfiguration()
      c.hiddenSize = D
      c.heads = heads
      c.feedForwardSize = feedForward
      f = try LayerFixture { TransformerLayer(c, modality: 1, index: 3, in: &$0) }
      table = try SequenceTable(lengths, firstPlace: 2)
      let rows = table.sequences.rowCount
      x = try random(rows, D, seed: 1)
      y = try zeros(rows, D)
      a = try TransformerLayer.Activations(
        rows: rows + 1, hidden: D, feedForward: feedForward, inTurn: inTurn, in: testArena
      ).rows(0..<rows)
      var memory = try ModelTests.scratch(
        TransformerLayer.Gradients.size(rows: rows, hidden: D, feedForward: feedForward, inTurn: inTurn))
      g = TransformerLayer.Gradients(
        rows: rows, hidden: D, feedForward: feedForward, inTurn: inTurn, in: &memory)
      dropouts = DropoutSites(rate: dropout, seed: 3, step: 4)
      // As for long sequences, which take more.
      c.modalities[1].maximumSteps = 129
      scratch = try ModelTests.scratch(ModalityEncoder.scratchSize(c, run: lengths.count, samples: lengths.count))
    }

    func forward() {
      y.copy(from: x)
      f.layer.forward(y, a, sequences, f.θ, dropouts, scratch: scratch)
    }

    /// d: dy in, dx out; all parameters' gradients.
    func backward(_ d: Matrix) throws {
      g.input?.copy(from: x)
      f.layer.backward(d, a, g, sequences, f.θ, dropouts, scratch: scratch, addingTo: f.bySample)
      func source(_ linear: Linear, _ dy: Matrix, _ x: Matrix) -> WeightSource {
        WeightSource(linear.weight, perSample: 5) { [sequences] samples, body in
          let rows = sequences.rows(samples)
          body(dy.rows(rows), x.rows(rows))
        }
      }
      let l = f.layer
      try f.gather(
        [
          source(l.projections, l.queriesKeysValues(a, g), x), source(l.attentionOutput, g.attentionDense, a.context),
          source(l.intermediate, a.up, a.attended), source(l.output, g.outputDense, g.activated),
        ], samples: sequences.count)
    }
  }

  @Test(
    arguments: [([1], 4, 1, 3), ([3], 6, 2, 5), ([4, 1, 2], 6, 3, 9), ([2, 2], 10, 1, 17)], [Float(0), 0.3])
  func gradients(_ sizes: ([Int], Int, Int, Int), _ dropout: Float) throws {
    let x = try Fixture(sizes.0, hidden: sizes.1, heads: sizes.2, feedForward: sizes.3, dropout: dropout)
    let weights = try random(x.x.rows, x.x.columns, seed: 2)
    let loss = { () -> Double in
      x.forward()
      return weightedSum(x.y, weights)
    }
    _ = loss()
    let d = try zeros(x.x.rows, x.x.columns)
    d.copy(from: weights)
    try x.backward(d)
    var check = GradientCheck(tolerance: 3e-3)
    check.compare("x", x.x, d, loss: loss)
    x.f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")
  }

  @Test func outputIsForwardsBitForBit() throws {
    let x = try Fixture([4, 1, 2], hidden: 6, heads: 3, feedForward: 9, dropout: 0.3)
    x.forward()
    let again = try zeros(x.y.rows, x.y.columns)
    x.f.layer.output(x.a, x.f.θ, into: again)
    #expect(bits(values(again)) == bits(values(x.y)))
  }

  /// Queries, keys and values that are made again in backward are the same bits, and so are all gradients.
  @Test func projectionsMadeAgain() throws {
    let (kept, again) = (
      try Fixture([4, 1, 2], hidden: 6, heads: 3, feedForward: 9, dropout: 0.3),
      try Fixture([4, 1, 2], hidden: 6, heads: 3, feedForward: 9, dropout: 0.3, inTurn: true)
    )
    let gradients = try [kept, again].map { x in
      x.forward()
      let d = try random(x.x.rows, x.x.columns, seed: 2)
      try x.backward(d)
      return bits(values(d) + x.f.layout.parameters.flatMap { values(x.f.gradient[$0]) })
    }
    #expect(bits(values(kept.y)) == bits(values(again.y)) && gradients[0] == gradients[1])
    #expect(kept.a.qkv != nil && again.a.qkv == nil)
  }

  /// Queries, keys and values come from one product over three weights that adjoin.
  @Test func projectionsAdjoin() throws {
    let f = try Fixture([1], hidden: 6, heads: 3, feedForward: 9, dropout: 0).f
    let parts = f.layout.parameters.filter { $0.name.contains("attention.self") }
    let (weights, biases) = (parts.filter { $0.name.hasSuffix("weight") }, parts.filter { $0.name.hasSuffix("bias") })
    #expect(weights.count == 3 && biases.count == 3)
    #expect(f.layer.projections.weight.range == weights[0].offset..<weights[2].range.upperBound)
    #expect((f.layer.projections.weight.rows, f.layer.projections.weight.columns) == (18, 6))
    #expect(f.layer.projections.bias.range == biases[0].offset..<biases[2].range.upperBound)
  }
}
