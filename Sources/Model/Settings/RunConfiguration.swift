import Foundation
import Parallel

/// Everything that a run's result depends on besides its data, written into the run's directory as `config.json`.
public struct RunConfiguration: Codable, Sendable, Equatable {
  public var model: ModelConfiguration
  public var optimizer: OptimizerConfiguration
  /// C names, in the order of the scores.
  public var labelNames: [String]
  /// B, samples per step.
  public var batchSize = 64
  /// In how many micro-batches a batch's samples go through the encoders, one after another; nil for one. It decides time
  /// and memory, not the result.
  public var microBatches: Int?
  public var epochs = 20
  /// The run ends after so many steps, if its epochs do not end it before; nil for no such limit.
  public var maxSteps: Int?
  /// By what the best epoch is chosen; nil for micro-F1, as in the files of earlier versions.
  public var bestBy: SelectionMetric?
  /// The run ends after so many epochs in a row without a better one; nil for no such limit.
  public var patience: Int?
  /// How each new best epoch's thresholds are found on the validation split; nil for none but `threshold`.
  public var tuneThreshold: ThresholdTuning?
  public var seed: UInt64 = 1
  /// Scores above this predict a label.
  public var threshold: Float = 0.25
  /// What to do about a step whose loss or gradients are not finite.
  public var onNonFinite = NonFinitePolicy.stop
  /// Where the samples are or how they are made.
  package var data: DataSource?
  /// What resumptions changed, in order; nil if nothing was.
  package var changes: [Change]?

  public enum NonFinitePolicy: String, Codable, Sendable, CaseIterable {
    /// End the run with the state from before the step.
    case stop
    /// Leave the step out and continue, unless more than `maximumSkips` in a row are so.
    case skip
  }

  /// Steps in a row that may be left out.
  static let maximumSkips = 100

  /// Settings that a resumption changed: with them, a run's result is a function of its settings and data again.
  package struct Change: Codable, Sendable, Equatable {
    /// Steps that were taken before.
    package let step: Int
    /// `--epochs was 2, is 4`, and so on.
    package let settings: [String]

    package init(step: Int, settings: [String]) { (self.step, self.settings) = (step, settings) }
  }

  /// Samples that lie somewhere, or are generated.
  package enum DataSource: Codable, Sendable, Equatable {
    /// A data set's directory.
    case directory(String)
    case generated(SyntheticDataset.Settings)

    private enum CodingKeys: String, CodingKey { case directory, generated }

    package init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      self =
        if let directory = try container.decodeIfPresent(String.self, forKey: .directory) {
          .directory(directory)
        } else {
          .generated(try container.decode(SyntheticDataset.Settings.self, forKey: .generated))
        }
    }

    package func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      switch self {
      case .directory(let directory): try container.encode(directory, forKey: .directory)
      case .generated(let settings): try container.encode(settings, forKey: .generated)
      }
    }
  }

  /// The settings of the released code for a data set.
  public init(for dataset: Dataset) { self.init(for: DatasetShape(of: dataset.train)) }

  /// The model for data of some shape, everything else as the released code has it.
  package init(for shape: DatasetShape) {
    model = ModelConfiguration(
      modalities: shape.modalities.enumerated().map { m, modality in
        .init(
          name: modality.name, features: modality.features, maximumSteps: modality.steps, layers: m == 0 ? 6 : 4)
      }, labels: shape.labelNames.count)
    optimizer = OptimizerConfiguration(totalSteps: 0)
    labelNames = shape.labelNames
  }

  /// Steps of an epoch: the last samples of its order that do not fill a batch are left out.
  package func stepsPerEpoch(trainingSamples: Int) -> Int { trainingSamples / max(batchSize, 1) }

  /// Steps of the whole run: those of its epochs, or `maxSteps` where these are fewer.
  package func totalSteps(trainingSamples: Int) -> Int {
    min(maxSteps ?? .max, stepsPerEpoch(trainingSamples: trainingSamples) * epochs)
  }

  /// As many epochs as a run may have: what a run has whose steps alone are limited.
  package static let maximumEpochs = 1_000_000

  /// What contradicts itself, in words; nil if nothing does.
  package var contradiction: String? {
    if let contradiction = model.contradiction { return contradiction }
    if !(1...1 << 20).contains(batchSize) { return "batch size must be between 1 and 1048576, not \(batchSize)" }
    let blocks = (batchSize + BatchDivision.blockSize - 1) / BatchDivision.blockSize
    if let microBatches, !(1...blocks).contains(microBatches) {
      return
        "micro-batches (--accumulate) must be between 1 and \(blocks) for a batch size of \(batchSize), not \(microBatches): each "
        + "has \(BatchDivision.blockSize) samples or more"
    }
    if !(1...Self.maximumEpochs).contains(epochs) { return "epochs must be between 1 and 1000000, not \(epochs)" }
    if let maxSteps, !(1...Int(Int32.max)).contains(maxSteps) {
      return "maximum steps must be between 1 and 2147483647, not \(maxSteps)"
    }
    if let patience, !(1...Self.maximumEpochs).contains(patience) {
      return "patience must be between 1 and 1000000 epochs, not \(patience)"
    }
    if let contradiction = optimizer.contradiction { return contradiction }
    if case .list(let weights)? = model.positiveWeights, weights.count != model.labels {
      return "\(weights.count) weights of positive labels for the \(model.labels) labels "
        + labelNames.joined(separator: ",")
    }
    if !(threshold >= 0 && threshold <= 1) { return "threshold must be between 0 and 1, not \(threshold)" }
    for term in LossTerm.allCases where !model.weights[term].isFinite {
      return "the weight of \(term.rawValue) must be a number, not \(model.weights[term])"
    }
    if labelNames.count != model.labels { return "\(labelNames.count) label names for \(model.labels) labels" }
    if Set(labelNames).count < labelNames.count {
      return "two labels of one name among \(labelNames.joined(separator: ","))"
    }
    return nil
  }

  /// What contradicts itself or a number of training samples, in words; nil if nothing does.
  package func contradiction(trainingSamples: Int) -> String? {
    if let contradiction { return contradiction }
    if trainingSamples < batchSize {
      return "a batch of \(batchSize) samples needs as many in the training split, which has \(trainingSamples); "
        + "choose a batch size of at most \(trainingSamples)"
    }
    // Steps are numbered in 32 bits.
    if totalSteps(trainingSamples: trainingSamples) > Int(Int32.max) {
      return "\(epochs) epochs of \(stepsPerEpoch(trainingSamples: trainingSamples)) steps are more than 2147483647 "
        + "steps; choose fewer epochs"
    }
    return nil
  }

  /// - Throws: if training can't fit into the memory that there is.
  package func requireMemory() throws(MemoryShortage) { try MemoryNeed.check(model, samples: samplesAtOnce) }

  /// Samples of the largest micro-batch.
  var samplesAtOnce: Int {
    slice(of: batchSize, part: 0, parts: microBatches ?? 1, alignment: BatchDivision.blockSize).count
  }
}

/// Settings that contradict one another or the data, in one line.
public struct SettingsError: Error, CustomStringConvertible, Sendable {
  public let description: String

  package init(description: String) { self.description = description }
}
