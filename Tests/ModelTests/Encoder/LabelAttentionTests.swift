import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct LabelAttentionTests {
  @Test(arguments: [([1], 3, 1), ([3], 4, 5), ([4, 1, 2], 6, 3), ([17], 5, 2)])
  func gradients(_ lengths: [Int], _ D: Int, _ labels: Int) throws {
    var c = tinyConfiguration()
    c.labels = labels
    c.hiddenSize = D
    let f = try LayerFixture { LabelAttention(c, modality: 0, in: &$0) }
    let table = try SequenceTable(lengths)
    let sequences = table.sequences
    let (n, R) = (lengths.count, sequences.rowCount)
    let scratch = try ModelTests.scratch(
      LabelAttention.scratchSize(steps: lengths.max() ?? 0, hidden: D, labels: labels))
    let (hidden, probabilities) = (try random(R, D, seed: 1), try zeros(labels, R + 3).columns(1..<R + 1))
    let (plain, dhidden) = (try zeros(n * labels, D), try zeros(R, D))
    let weights = try random(n * labels, D, seed: 2)
    let loss = { () -> Double in
      f.layer.forward(hidden, probabilities: probabilities, sequences, f.θ, scratch: scratch, into: plain)
      return weightedSum(plain, weights)
    }
    _ = loss()
    // The gradient takes the place of hidden.
    dhidden.copy(from: hidden)
    f.layer.backward(
      weights, hidden: dhidden, probabilities: probabilities, sequences, f.θ, scratch: scratch, into: f.bySample)
    try f.gather([], samples: n)
    var check = GradientCheck(tolerance: 1e-3)
    check.compare("hidden", hidden, dhidden, loss: loss)
    f.compare(&check, loss: loss)
    #expect(check.passes, "\(check)")
  }

  /// One step leaves no choice: every label takes it whole.
  @Test func oneStepIsCopied() throws {
    let f = try LayerFixture { LabelAttention(tinyConfiguration(), modality: 0, in: &$0) }
    let (hidden, plain) = (try random(2, 6, seed: 1), try zeros(6, 6))
    let table = try SequenceTable([1, 1])
    f.layer.forward(
      hidden, probabilities: try zeros(3, 2), table.sequences, f.θ,
      scratch: try scratch(LabelAttention.scratchSize(steps: 1, hidden: 6, labels: 3)), into: plain)
    for row in 0..<6 { #expect(values(plain.rows(row..<row + 1)) == values(hidden.rows(row / 3..<row / 3 + 1))) }
  }
}
