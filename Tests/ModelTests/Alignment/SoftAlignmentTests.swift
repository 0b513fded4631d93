import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct SoftAlignmentTests {
  /// The reference's names and shapes: its two LSTMs, their layers, two biases each.
  @Test func namesAndShapesArePyTorchs() {
    var c = ParameterLayoutTests.reference
    for m in 1...2 { c.modalities[m].alignedSteps = 50 }
    let own = CARATModel(c).layout.parameters.filter { $0.name.contains("_ctc") }
    let expected = [("v2t", 35), ("a2t", 74)].flatMap { name, features in
      (0..<2).flatMap { layer in
        [
          ("weight_ih", [204, layer == 0 ? features : 51]), ("weight_hh", [204, 51]), ("bias_ih", [204]),
          ("bias_hh", [204]),
        ].map { ("\(name)_ctc.pred_output_position_inclu_blank.\($0)_l\(layer)", $1) }
      }
    }
    #expect(own.map(\.name) == expected.map(\.0) && own.map(\.shape) == expected.map(\.1))
    #expect(own.allSatisfy { $0.decays == $0.name.contains("weight") })
    // All else is as without alignment, under the same names.
    let others = Set(CARATModel(c).layout.parameters.map(\.name)).subtracting(own.map(\.name))
    #expect(others == Set(CARATModel(ParameterLayoutTests.reference).layout.parameters.map(\.name)))
  }

  /// The aligned steps against the formula, and what does not lie in the model's numbers: a blank, and T steps.
  @Test func stepsAreSumsOverAllRawSteps() throws {
    var c = tinyConfiguration()
    c.modalities[2].alignedSteps = 3
    let x = try EncoderTests.Fixture(c, samples: 4, workers: 2, dropout: 0)
    x.forward(2)
    let encoder = x.own.encoders[2]
    let a = try #require(encoder.alignment)
    #expect(a.steps == 5 && a.samples == 4 && encoder.sequences.rowCount == 12)
    let norm = try #require(x.model.encoders[2].alignment).norm
    let features = try zeros(a.rowCount, 4)
    norm.output(a.features, x.θ, into: features)
    for s in 0..<4 {
      for l in 0..<3 {
        for j in 0..<4 {
          let sum = a.rows(s).reduce(0.0) { $0 + Double(a.probabilities[$1, 1 + l]) * Double(features[$1, j]) }
          #expect(abs(sum - Double(encoder.embeddings.features[3 * s + l, j])) < 1e-5)
        }
      }
      for t in a.rows(s) { #expect(abs((0..<4).reduce(0) { $0 + a.probabilities[t, $1] } - 1) < 1e-6) }
    }
  }
}
