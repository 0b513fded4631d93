import Foundation
import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct SelfAttentionTests {
  private func headScratch(_ steps: Int, _ headSize: Int) throws -> Scratch {
    try scratch(SelfAttention.scratchSize(steps: steps, headSize: headSize))
  }

  @Test(
    arguments: [([1], 3, 1), ([3], 4, 2), ([4, 1, 2], 6, 3), ([17, 2], 5, 1)], [Float(0), 0.4])
  func gradients(_ sizes: ([Int], Int, Int), _ rate: Float) throws {
    let (lengths, D, heads) = sizes
    let layer = SelfAttention(hidden: D, heads: heads)
    let table = try SequenceTable(lengths, firstPlace: 5)
    let sequences = table.sequences
    let R = sequences.rowCount
    let scratch = try headScratch(lengths.max() ?? 0, D / heads)
    let dropout = DropoutSites(rate: rate, seed: 3, step: 1)(.probabilities, modality: 0)
    let (qkv, context, dqkv) = (try random(R, 3 * D, seed: 1), try zeros(R, D), try zeros(R, 3 * D))
    let weights = try random(R, D, seed: 2)
    layer.forward(qkv, sequences, dropout, scratch: scratch, into: context)
    // The gradients take the place of queries, keys and values.
    dqkv.copy(from: qkv)
    layer.backward(weights, context: context, dqkv, sequences, dropout, scratch: scratch)
    var check = GradientCheck(tolerance: 1e-3)
    check.compare("qkv", qkv, dqkv) {
      layer.forward(qkv, sequences, dropout, scratch: scratch, into: context)
      return weightedSum(context, weights)
    }
    #expect(check.passes, "\(check)")
  }

  @Test func matchesTheFormula() throws {
    let (T, D, heads) = (4, 6, 2)
    let layer = SelfAttention(hidden: D, heads: heads)
    let scratch = try headScratch(T, D / heads)
    let (qkv, context) = (try random(T, 3 * D, seed: 1), try zeros(T, D))
    let table = try SequenceTable([T])
    layer.forward(qkv, table.sequences, .none, scratch: scratch, into: context)
    var expected: [Double] = []
    for t in 0..<T {
      for j in 0..<D {
        let head = j / 3 * 3..<j / 3 * 3 + 3
        let weights = (0..<T).map { s in
          exp(head.reduce(0.0) { $0 + Double(qkv[t, $1]) * Double(qkv[s, D + $1]) } / 3.0.squareRoot())
        }
        let sum = (0..<T).reduce(0.0) { $0 + weights[$1] * Double(qkv[$1, 2 * D + j]) }
        expected.append(sum / weights.reduce(0, +))
      }
    }
    #expect(relativeDifference(values(context), expected) < 1e-5)
  }

  /// The mask is keyed by the sample's place in the whole batch, so runs may begin anywhere.
  @Test func dropoutIsKeyedBySample() throws {
    let layer = SelfAttention(hidden: 4, heads: 2)
    let scratch = try headScratch(3, 2)
    let dropout = DropoutSites(rate: 0.5, seed: 3, step: 1)(.probabilities, modality: 0)
    let qkv = try random(6, 12, seed: 1)
    let (both, second) = (try zeros(6, 4), try zeros(3, 4))
    let table = try SequenceTable([3, 3], firstPlace: 8)
    let sequences = table.sequences
    layer.forward(qkv, sequences, dropout, scratch: scratch, into: both)
    layer.forward(qkv.rows(3..<6), sequences[1..<2], dropout, scratch: scratch, into: second)
    #expect(values(both.rows(3..<6)) == values(second))
    layer.forward(qkv.rows(3..<6), sequences[0..<1], dropout, scratch: scratch, into: second)
    #expect(values(both.rows(3..<6)) != values(second))
  }
}
