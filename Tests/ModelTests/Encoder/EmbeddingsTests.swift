import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct EmbeddingsTests {
  struct Fixture {
    let f: LayerFixture<Embeddings>
    let raw, hidden: Matrix
    let a: Embeddings.Activations
    let table: SequenceTable
    var sequences: Sequences { table.sequences }
    let dropouts: DropoutSites
    let scratch: Scratch

    init(_ lengths: [Int], features: Int, hidden D: Int, dropout: Float) throws {
      var c = tinyConfiguration()
      c.modalities[1].features = features
      c.hiddenSize = D
      c.modalities[1].maximumSteps = 5
      f = try LayerFixture { Embeddings(c, modality: 1, in: &$0) }
      table = try SequenceTable(lengths, firstPlace: 2)
      let rows = table.sequences.rowCount
      raw = try random(rows, features, seed: 1)
      hidden = try zeros(rows, D)
      a = try Embeddings.Activations(rows: rows + 2, features: features, hidden: D, in: testArena).rows(0..<rows)
      dropouts = DropoutSites(rate: dropout, seed: 3, step: 4)
      scratch = try ModelTests.scratch(ModalityEncoder.scratchSize(c, run: lengths.count, samples: lengths.count))
    }

    func forward() {
      a.features.copy(from: raw)
      f.layer.forward(a, sequences, f.θ, dropouts, scratch: scratch, into: hidden)
    }
  }

  @Test(arguments: [([1], 3, 4), ([3], 7, 6), ([2, 5, 1], 5, 18), ([1, 1], 1, 3)], [Float(0), 0.4])
  func gradients(_ sizes: ([Int], Int, Int), _ dropout: Float) throws {
    let x = try Fixture(sizes.0, features: sizes.1, hidden: sizes.2, dropout: dropout)
    let weights = try random(x.hidden.rows, x.hidden.columns, seed: 2)
    let loss = { () -> Double in
      x.forward()
      return weightedSum(x.hidden, weights)
    }
    _ = loss()
    let output = values(x.hidden)
    let d = try zeros(x.hidden.rows, x.hidden.columns)
    d.copy(from: weights)
    x.f.layer.backward(
      d, x.a, x.sequences, x.f.θ, x.dropouts, scratch: x.scratch, aligned: nil, addingTo: x.f.bySample)
    // What the first layer was given takes the place of the normalised embeddings.
    #expect(bits(values(x.a.normalized)) == bits(output))
    let (sequences, features) = (x.sequences, x.a.features)
    try x.f.gather(
      [
        WeightSource(x.f.layer.words.weight, perSample: 5) { samples, body in
          let rows = sequences.rows(samples)
          body(d.rows(rows), features.rows(rows))
        }, WeightSource(positions: x.f.layer.positions) { (d.rows(sequences.rows($0)), sequences[$0]) },
      ], samples: x.sequences.count)
    var check = GradientCheck(tolerance: 2e-3)
    x.f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")
  }

  @Test(arguments: [Float(0), 0.4]) func outputIsForwardsBitForBit(_ dropout: Float) throws {
    let x = try Fixture([2, 5, 1], features: 5, hidden: 18, dropout: dropout)
    x.forward()
    let again = try zeros(x.hidden.rows, x.hidden.columns)
    x.f.layer.output(x.a, x.sequences, x.f.θ, x.dropouts, into: again)
    #expect(bits(values(again)) == bits(values(x.hidden)))
    #expect(values(again).contains(0) == (dropout > 0))
  }

  /// Every sample starts at position 0, so a sample's rows do not depend on the others.
  @Test func samplesDoNotMix() throws {
    let both = try Fixture([3, 2], features: 5, hidden: 6, dropout: 0)
    both.forward()
    let one = try Fixture([3], features: 5, hidden: 6, dropout: 0)
    one.raw.copy(from: both.raw.rows(0..<3))
    one.forward()
    #expect(relativeDifference(values(both.hidden.rows(0..<3)), values(one.hidden).map(Double.init)) < 1e-6)
    one.raw.rows(0..<2).copy(from: both.raw.rows(3..<5))
    one.forward()
    #expect(
      relativeDifference(values(both.hidden.rows(3..<5)), values(one.hidden.rows(0..<2)).map(Double.init)) < 1e-6)
  }
}
