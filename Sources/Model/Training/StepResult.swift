import Tensor

/// What one step says of itself.
public struct StepResult: Sendable {
  /// Unweighted loss terms.
  public let terms: [LossTerm: Double]
  /// Their weighted sum.
  public let loss: Double
  /// The learning rate that was applied.
  public let rate: Float
  /// Whether the loss and all gradients are finite; if not, the step changed nothing.
  public internal(set) var isFinite = true

  /// Sums each sample's share, in batch order.
  init(_ exchange: Exchange, contrastive: Double, _ weights: LossWeights, rate: Float) {
    var sums = [Double](repeating: 0, count: LossTerm.allCases.count)
    for b in 0..<exchange.batchSize {
      for term in LossTerm.allCases where term != .contrastive {
        for part in exchange.parts(of: term, sample: b).elements { sums[term.index] += Double(part) }
      }
    }
    sums[LossTerm.contrastive.index] = contrastive
    terms = Dictionary(uniqueKeysWithValues: LossTerm.allCases.map { ($0, sums[$0.index]) })
    loss = LossTerm.allCases.reduce(0) { $0 + Double(weights[$1]) * sums[$1.index] }
    self.rate = rate
  }
}
