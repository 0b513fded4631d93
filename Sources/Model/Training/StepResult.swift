import Tensor

/// What one step says of itself.
package struct StepResult: Sendable {
  /// Unweighted loss terms, by their position.
  private let sums: InlineArray<9, Double>
  /// Their weighted sum.
  package let loss: Double
  /// The learning rate that was applied.
  package let rate: Float
  /// Whether the loss and all gradients are finite; if not, the step changed nothing.
  package internal(set) var isFinite = true

  /// Sums each sample's share, in batch order.
  init(_ exchange: Exchange, contrastive: Double, _ weights: LossWeights, rate: Float) {
    var sums = InlineArray<9, Double>(repeating: 0)
    for b in 0..<exchange.batchSize {
      for term in LossTerm.all where term != .contrastive {
        for part in exchange.parts(of: term, sample: b).elements { sums[term.index] += Double(part) }
      }
    }
    sums[LossTerm.contrastive.index] = contrastive
    var loss = 0.0
    for term in LossTerm.all { loss += Double(weights[term]) * sums[term.index] }
    (self.sums, self.loss, self.rate) = (sums, loss, rate)
  }

  /// Unweighted loss terms.
  package var terms: [LossTerm: Double] {
    Dictionary(uniqueKeysWithValues: LossTerm.all.map { ($0, sums[$0.index]) })
  }
}
