/// A setting of a run: what it is called on the command line and in `config.json`, what it means, and
/// whether a run that continues may change it.
///
/// `all` is the one table of them. Options, `--allow-changed`, what a settings file may leave out and docs/OPTIONS.md are
/// made of it.
package struct Setting<Value: Sendable & Equatable>: Sendable {
  /// The option without its dashes.
  package let name: String
  /// What stands for its value in help.
  package let value: String
  /// In a sentence.
  package let help: String
  /// Where it is in `config.json`, `[]` for every item of a list.
  package let key: String
  package let path: WritableKeyPath<RunConfiguration, Value> & Sendable
  package let change: SettingChange

  init(
    _ name: String, _ value: String, _ key: String, _ path: WritableKeyPath<RunConfiguration, Value> & Sendable,
    change: SettingChange = .never, _ help: String
  ) {
    (self.name, self.value, self.help, self.key, self.path, self.change) = (name, value, help, key, path, change)
  }

  /// The setting without the type of its value.
  package var any: AnySetting {
    AnySetting(
      name: name, key: key, change: change, mayBeAbsent: Value.self is any Absent.Type,
      text: { settings in
        let value = settings[keyPath: path]
        return if let value = value as? any Absent { value.text } else { "\(value)" }
      })
  }
}

/// Whether a run that continues may change a setting.
package enum SettingChange: Sendable {
  /// It decides the shape of the state or the place in an epoch.
  case never
  /// It decides the result: it has to be named by `--allow-changed`, and the change is kept with the run.
  case ifAllowed
  /// It decides time and memory alone.
  case freely
}

/// A value that a settings file may lack.
private protocol Absent { var text: String? { get } }
extension Optional: Absent { var text: String? { map { "\($0)" } } }

/// A value of each modality.
package struct OfModalities<Value: Sendable & Equatable>: Sendable, Equatable, CustomStringConvertible {
  package var values: [Value]

  package init(values: [Value]) { self.values = values }

  package var description: String { values.map { "\($0)" }.joined(separator: ",") }
}

extension OfModalities: Absent where Value == Int? {
  /// The number of steps, where all modalities but the first have it; nil where none has any.
  var text: String? {
    if values.allSatisfy({ $0 == nil }) { return nil }
    if let common = values.last ?? nil, values == [nil] + Array(repeating: common, count: values.count - 1) {
      return "\(common)"
    }
    return values.map { $0.map(String.init) ?? "none" }.joined(separator: ",")
  }
}

/// A setting, whatever its value's type is.
package struct AnySetting: Sendable {
  package let name: String
  package let key: String
  package let change: SettingChange
  /// Whether `config.json` may lack it.
  package let mayBeAbsent: Bool
  /// Its value in words; nil if it is absent.
  package let text: @Sendable (RunConfiguration) -> String?

  /// All settings, in the order of the help.
  package static let all: [AnySetting] = {
    let run: [AnySetting] = [
      Setting.epochs.any, Setting.maxSteps.any, Setting.batchSize.any, Setting.learningRate.any, Setting.warmup.any,
      Setting.weightDecay.any, Setting.maximumNorm.any, Setting.threshold.any, Setting.seed.any,
      Setting.onNonFinite.any, Setting.bestBy.any, Setting.patience.any, Setting.tuneThreshold.any,
      Setting.averageWeights.any, Setting.microBatches.any,
    ]
    let model: [AnySetting] = [
      Setting.layers.any, Setting.hiddenSize.any, Setting.heads.any, Setting.feedForwardSize.any,
      Setting.latentSize.any, Setting.queueSize.any, Setting.dropout.any, Setting.temperature.any,
      Setting.prototypeMomentum.any, Setting.anchors.any, Setting.queueKeys.any, Setting.keyMomentum.any,
      Setting.padding.any, Setting.alignedLength.any, Setting.positiveWeights.any,
    ]
    return run + model + LossTerm.allCases.map { Setting.weight($0).any }
  }()

  /// A setting that a settings file has and no option changes.
  static let withoutOption: Set = ["maximum-norm"]
}

// MARK: The run

extension Setting where Value == Int {
  package static var epochs: Self {
    Self("epochs", "n", "epochs", \.epochs, change: .ifAllowed, "Passes over the training split.")
  }
  package static var batchSize: Self { Self("batch-size", "n", "batchSize", \.batchSize, "Samples per step (B).") }
}

extension Setting where Value == Int? {
  package static var maxSteps: Self {
    Self(
      "max-steps", "n", "maxSteps", \.maxSteps, change: .ifAllowed,
      "The run ends after so many optimiser steps, if its epochs do not end it before; the learning rate falls to 0 by "
        + "then. Without --epochs it takes as many as it needs.")
  }
  package static var patience: Self {
    Self(
      "patience", "n", "patience", \.patience, change: .ifAllowed,
      "The run ends after so many epochs in a row of which none was better on the validation split (as good is not better); by default it takes "
        + "all. The learning rate falls as if it did.")
  }
  package static var microBatches: Self {
    Self(
      "accumulate", "n", "microBatches", \.microBatches, change: .freely,
      "Micro-batches, of 4 samples or more, in which a batch's samples go through the encoders one after another: less memory (least "
        + "with 4 to 16) for a step that takes about a fifth longer. The contrastive loss and the shuffle are of the whole batch, and "
        + "results the same bits."
    )
  }
}

extension Setting where Value == SelectionMetric? {
  package static var bestBy: Self {
    Self(
      "best-by", "metric", "bestBy", \.bestBy, change: .ifAllowed,
      "What of the validation split says which epoch is the best, and so which weights are kept and tested: micro_f1 (the "
        + "default), macro_f1, mAP, or loss (the scores' cross-entropy).")
  }
}

extension Setting where Value == ThresholdTuning? {
  package static var tuneThreshold: Self {
    Self(
      "tune-threshold", "global|label", "tuneThreshold", \.tuneThreshold, change: .ifAllowed,
      "With the best epoch's weights thresholds are kept that the validation split is predicted best with: one for all labels "
        + "(highest micro-F1) or one a label (highest F1). The test split is measured with them too, and `train predict` "
        + "takes them.")
  }
}

extension Setting where Value == Double? {
  package static var averageWeights: Self {
    Self(
      "average-weights", "decay", "optimizer.averageDecay", \.optimizer.averageDecay,
      "Keeps an exponential moving average of the weights, of which so much stays at each step, such as 0.999; of step t, "
        + "from 0, at most (1 + t) / (10 + t). Each epoch evaluates it beside the weights; the best of both are kept.")
  }
}

extension Setting where Value == UInt64 {
  package static var seed: Self {
    Self("seed", "n", "seed", \.seed, change: .ifAllowed, "Seed of all random draws; the same seed gives the same run.")
  }
}

extension Setting where Value == RunConfiguration.NonFinitePolicy {
  package static var onNonFinite: Self {
    Self(
      "on-nonfinite", "stop|skip", "onNonFinite", \.onNonFinite, change: .ifAllowed,
      "What to do about a step whose loss or gradients are not finite: stop with the state from before it, or skip it, at "
        + "most 100 in a row.")
  }
}

extension Setting where Value == Double {
  package static var learningRate: Self {
    Self(
      "learning-rate", "rate", "optimizer.learningRate", \.optimizer.learningRate, change: .ifAllowed,
      "Peak of the learning rate, which rises, then falls to 0.")
  }
  package static var warmup: Self {
    Self(
      "warmup", "share", "optimizer.warmup", \.optimizer.warmup, change: .ifAllowed,
      "Share of all steps over which the learning rate rises.")
  }
  package static var prototypeMomentum: Self {
    Self(
      "prototype-momentum", "share", "model.prototypeMomentum", \.model.prototypeMomentum, change: .ifAllowed,
      "How much of a prototype stays when one more sample joins it, 0 to 1.")
  }
  package static var keyMomentum: Self {
    Self(
      "key-momentum", "share", "model.keyMomentum", \.model.keyMomentum, change: .ifAllowed,
      "How much of the momentum copy stays at each step, 0 to 1.")
  }
}

extension Setting where Value == Float {
  package static var weightDecay: Self {
    Self(
      "weight-decay", "number", "optimizer.weightDecay", \.optimizer.weightDecay, change: .ifAllowed,
      "Weight decay per step, times the learning rate.")
  }
  package static var maximumNorm: Self {
    Self(
      "maximum-norm", "number", "optimizer.maximumNorm", \.optimizer.maximumNorm, change: .ifAllowed,
      "Gradients are clipped to this norm: all together, then each tensor.")
  }
  package static var threshold: Self {
    Self(
      "threshold", "score", "threshold", \.threshold, change: .ifAllowed,
      "A label is predicted where its score is above this.")
  }
  package static var dropout: Self {
    Self(
      "dropout", "share", "model.dropout", \.model.dropout, change: .ifAllowed,
      "Share of activations that training drops, 0 to 0.99.")
  }
  package static var temperature: Self {
    Self(
      "temperature", "number", "model.temperature", \.model.temperature, change: .ifAllowed,
      "Temperature of the contrastive loss.")
  }

  /// A loss term's weight.
  package static func weight(_ term: LossTerm) -> Self {
    let name = term.rawValue.replacing("_", with: "-") + "-weight"
    return Self(
      name, "number", "model.weights.\(term.rawValue)", \RunConfiguration.model.weights[term], change: .ifAllowed,
      "Weight in the loss: \(term.meaning).")
  }
}

// MARK: The model

extension Setting where Value == OfModalities<Int> {
  package static var layers: Self {
    Self(
      "layers", "n,n,n", "model.modalities[].layers", \.model.layers,
      "Transformer layers of the text, visual and audio encoder.")
  }
}

extension Setting where Value == Int {
  package static var hiddenSize: Self {
    Self(
      "hidden-size", "n", "model.hiddenSize", \.model.hiddenSize, "Width of the encoders (D); a multiple of --heads.")
  }
  package static var heads: Self { Self("heads", "n", "model.heads", \.model.heads, "Attention heads (H).") }
  package static var feedForwardSize: Self {
    Self(
      "feed-forward-size", "n", "model.feedForwardSize", \.model.feedForwardSize,
      "Width of the transformers' feed-forward layers.")
  }
  package static var latentSize: Self {
    Self(
      "latent-size", "n", "model.latentSize", \.model.latentSize,
      "Width of the latent vectors that the contrastive loss compares (P).")
  }
  package static var queueSize: Self {
    Self(
      "queue-size", "n", "model.queueSize", \.model.queueSize,
      "Latent vectors of past steps that the contrastive loss also compares with (Q); 0 for none.")
  }
}

extension Setting where Value == ModelConfiguration.Anchors {
  package static var anchors: Self {
    Self(
      "anchors", "rows", "model.anchors", \.model.anchors, change: .ifAllowed,
      "Rows for which the contrastive loss is computed: all, queue included (the released code), or the batch's only.")
  }
}

extension Setting where Value == ModelConfiguration.QueueKeys {
  package static var queueKeys: Self {
    Self(
      "queue-keys", "keys", "model.queueKeys", \.model.queueKeys,
      "What enters the queue: the live vectors (the released code), or those of a momentum copy of the model (MoCo).")
  }
}

extension Setting where Value == ModelConfiguration.Padding {
  package static var padding: Self {
    Self(
      "padding", "how", "model.padding", \.model.padding,
      "Steps behind a sequence's end: attend (like all others: the released code), mask (computed and masked), or packed "
        + "(left out of every product, with mask's results).")
  }
}

extension Setting where Value == PositiveWeights? {
  package static var positiveWeights: Self {
    Self(
      "pos-weight", "auto|w,…", "model.positiveWeights", \.model.positiveWeights, change: .ifAllowed,
      "Weight of each label's present samples in the cross-entropies, as PyTorch's pos_weight: auto for the training split's "
        + "absent over present samples.")
  }
}

extension Setting where Value == OfModalities<Int?> {
  package static var alignedLength: Self {
    Self(
      "aligned-length", "n", "model.modalities[].alignedSteps", \.model.alignedSteps,
      "Steps that unaligned visual and audio sequences are soft-aligned to, with an LSTM; by default none are.")
  }
}

extension ModelConfiguration {
  /// Transformer layers of each modality's encoder.
  var layers: OfModalities<Int> {
    get { OfModalities(values: modalities.map(\.layers)) }
    set { for (m, value) in newValue.values.enumerated() { modalities[m].layers = value } }
  }

  /// Steps that each modality's sequences are soft-aligned to.
  var alignedSteps: OfModalities<Int?> {
    get { OfModalities(values: modalities.map(\.alignedSteps)) }
    set { for (m, value) in newValue.values.enumerated() { modalities[m].alignedSteps = value } }
  }
}
