/// BertAdam's settings and its learning-rate schedule: a linear rise over the first part of all steps, then a linear
/// fall to 0. The first step's rate is 0.
public struct OptimizerConfiguration: Codable, Sendable, Equatable {
  public var learningRate = 5e-5
  /// The share of all steps over which the rate rises.
  public var warmup = 0.1
  public var totalSteps: Int
  public var weightDecay: Float = 0.01
  /// Gradients are clipped to this norm: all together, then each tensor.
  public var maximumNorm: Float = 1

  public init(totalSteps: Int) { self.totalSteps = totalSteps }

  /// The learning rate of a step, counted from 0.
  public func rate(atStep step: Int) -> Float {
    let x = Double(step) / Double(max(totalSteps, 1))
    return Float(learningRate * (x < warmup ? x / warmup : max((x - 1) / (warmup - 1), 0)))
  }
}
