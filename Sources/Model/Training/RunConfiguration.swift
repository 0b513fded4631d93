import Foundation
import Parallel

/// Everything that a run's result depends on besides its data, written into the run's directory as `config.json`.
public struct RunConfiguration: Codable, Sendable, Equatable {
  public var model: ModelConfiguration
  public var optimizer: OptimizerConfiguration
  /// B, samples a step.
  public var batchSize = 64
  public var epochs = 20
  public var seed: UInt64 = 1
  /// Scores above this predict a label.
  public var threshold: Float = 0.25
  /// S, the parts of a batch; divides B.
  public var shards: Int

  /// The model for a data set's shapes, everything else as the released code has it.
  public init(for dataset: Dataset) {
    let train = dataset.train
    model = ModelConfiguration(
      modalities: train.modalities.map {
        .init(name: $0.name, features: $0.features, maximumSteps: $0.steps, layers: 4)
      }, labels: train.labelCount)
    optimizer = OptimizerConfiguration(totalSteps: 0)
    shards = ShardPlan.defaultShards(batchSize: batchSize)
  }

  /// What contradicts itself or the data set, in words; nil if nothing does.
  public func contradiction(with dataset: Dataset) -> String? {
    if let contradiction = model.contradiction { return contradiction }
    if batchSize < 1 { return "batch size must be at least 1, not \(batchSize)" }
    if epochs < 1 { return "epochs must be at least 1, not \(epochs)" }
    if dataset.train.count < batchSize {
      return "a batch of \(batchSize) samples needs as many in the training split, which has \(dataset.train.count); "
        + "choose a batch size of at most \(dataset.train.count)"
    }
    if !(optimizer.learningRate > 0 && optimizer.learningRate < 1e3) {
      return "learning rate must be positive, not \(optimizer.learningRate)"
    }
    if !(optimizer.warmup >= 0 && optimizer.warmup < 1) {
      return "warm-up must be at least 0 and below 1, not \(optimizer.warmup)"
    }
    if !(threshold >= 0 && threshold <= 1) { return "threshold must be between 0 and 1, not \(threshold)" }
    for term in LossTerm.allCases where !model.weights[term].isFinite {
      return "the weight of \(term.rawValue) must be a number, not \(model.weights[term])"
    }
    return nil
  }
}
