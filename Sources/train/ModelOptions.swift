import ArgumentParser
import Model

/// Sizes of the model, settings of its loss. What is not given stays as it is.
struct ModelOptions: ParsableArguments {
  @Option(Setting.layers) var layers: String?
  @Option(Setting.hiddenSize) var hiddenSize: Int?
  @Option(Setting.heads) var heads: Int?
  @Option(Setting.feedForwardSize) var feedForwardSize: Int?
  @Option(Setting.latentSize) var latentSize: Int?
  @Option(Setting.queueSize) var queueSize: Int?
  @Option(Setting.dropout) var dropout: Float?
  @Option(Setting.temperature) var temperature: Float?
  @Option(Setting.prototypeMomentum) var prototypeMomentum: Double?
  @Option(Setting.anchors) var anchors: ModelConfiguration.Anchors?
  @Option(Setting.queueKeys) var queueKeys: ModelConfiguration.QueueKeys?
  @Option(Setting.keyMomentum) var keyMomentum: Double?
  @Option(Setting.padding) var padding: ModelConfiguration.Padding?
  @Option(Setting.alignedLength) var alignedLength: Int?
  @Option(Setting.positiveWeights) var posWeight: PositiveWeights?
  @Option(Setting.weight(.plainBCE)) var plainBceWeight: Float?
  @Option(Setting.weight(.alphaBCE)) var alphaBceWeight: Float?
  @Option(Setting.weight(.betaBCE)) var betaBceWeight: Float?
  @Option(Setting.weight(.contrastive)) var contrastiveWeight: Float?
  @Option(Setting.weight(.reconstructionMSE)) var reconstructionMseWeight: Float?
  @Option(Setting.weight(.alphaMSE)) var alphaMseWeight: Float?
  @Option(Setting.weight(.betaMSE)) var betaMseWeight: Float?
  @Option(Setting.weight(.aggregateBCE)) var aggregateBceWeight: Float?
  @Option(Setting.weight(.shuffledBCE)) var shuffledBceWeight: Float?

  /// Transformer layers of each modality's encoder, of so many; nil if not given.
  private func depths(_ count: Int?) throws -> [Int]? {
    try layers.map { try wholeNumbers($0, count: count, option: "--layers", in: 0...1_000_000) }
  }

  func validate() throws { _ = try depths(nil) }

  func apply(to settings: inout RunConfiguration) throws {
    if let depths = try depths(settings.model.modalities.count) { settings.set(.layers, OfModalities(values: depths)) }
    settings.set(.hiddenSize, hiddenSize)
    settings.set(.heads, heads)
    settings.set(.feedForwardSize, feedForwardSize)
    settings.set(.latentSize, latentSize)
    settings.set(.queueSize, queueSize)
    settings.set(.dropout, dropout)
    settings.set(.temperature, temperature)
    settings.set(.prototypeMomentum, prototypeMomentum)
    settings.set(.anchors, anchors)
    settings.set(.queueKeys, queueKeys)
    settings.set(.keyMomentum, keyMomentum)
    settings.set(.padding, padding)
    if let alignedLength {
      let others = settings.model.modalities.count - 1
      settings.set(.alignedLength, OfModalities(values: [nil] + Array(repeating: alignedLength, count: others)))
    }
    settings.setOptional(.positiveWeights, posWeight)
    settings.set(.weight(.plainBCE), plainBceWeight)
    settings.set(.weight(.alphaBCE), alphaBceWeight)
    settings.set(.weight(.betaBCE), betaBceWeight)
    settings.set(.weight(.contrastive), contrastiveWeight)
    settings.set(.weight(.reconstructionMSE), reconstructionMseWeight)
    settings.set(.weight(.alphaMSE), alphaMseWeight)
    settings.set(.weight(.betaMSE), betaMseWeight)
    settings.set(.weight(.aggregateBCE), aggregateBceWeight)
    settings.set(.weight(.shuffledBCE), shuffledBceWeight)
  }
}

/// Sizes of a batch of full length, for commands without data.
struct BatchOptions: ParsableArguments {
  @Option("Samples per step (B).", value: "n")
  var batchSize = 64

  @Option(Setting.microBatches) var accumulate: Int?

  @Option("Time steps of each sequence (T), or of text, visual and audio.", value: "n|n,n,n")
  var length = "60"

  @Option("Features per time step of text, visual and audio.", value: "n,n,n")
  var features = "300,35,74"

  @Option("Labels of a sample (C).", value: "n")
  var labels = 6

  /// - Throws: for settings that contradict one another.
  func settings(_ model: ModelOptions) throws -> RunConfiguration {
    var shape = SyntheticDataset.Settings()
    shape.features = try wholeNumbers(features, option: "--features", in: 1...1 << 20)
    shape.steps = try wholeNumbers(length, oneForAll: true, option: "--length", in: 1...1 << 20)
    shape.labels = max(labels, 1)
    var settings = RunConfiguration(for: DatasetShape(of: shape))
    try model.apply(to: &settings)
    settings.batchSize = batchSize
    settings.microBatches = accumulate
    if let contradiction = settings.contradiction { throw SettingsError(description: contradiction) }
    return settings
  }
}
