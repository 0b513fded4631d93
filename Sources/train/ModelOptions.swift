import ArgumentParser
import Model

/// Sizes of the model, settings of its loss. What is not given stays as it is.
struct ModelOptions: ParsableArguments {
  @Option(
    "Transformer layers of the text, visual and audio encoder.", value: "n,n,n",
    base: released.model.modalities.map { "\($0.layers)" }.joined(separator: ","))
  var layers: String?

  @Option("Width of the encoders (D); a multiple of --heads.", value: "n", base: released.model.hiddenSize)
  var hiddenSize: Int?

  @Option("Attention heads (H).", value: "n", base: released.model.heads)
  var heads: Int?

  @Option("Width of the transformers' feed-forward layers.", value: "n", base: released.model.feedForwardSize)
  var feedForwardSize: Int?

  @Option(
    "Width of the latent vectors that the contrastive loss compares (P).", value: "n", base: released.model.latentSize)
  var latentSize: Int?

  @Option(
    "Latent vectors of past steps that the contrastive loss also compares with (Q); 0 for none.", value: "n",
    base: released.model.queueSize)
  var queueSize: Int?

  @Option(
    "Share of activations that training drops, 0 to 0.99.", value: "share", base: released.model.dropout)
  var dropout: Float?

  @Option("Temperature of the contrastive loss.", value: "number", base: released.model.temperature)
  var temperature: Float?

  @Option(
    "How much of a prototype stays when one more sample joins it, 0 to 1.", value: "share",
    base: released.model.prototypeMomentum)
  var prototypeMomentum: Double?

  @Option(
    "Rows for which the contrastive loss is computed: all, queue included (the released code), or the batch's only.",
    value: "rows", base: released.model.anchors.rawValue)
  var anchors: ModelConfiguration.Anchors?

  @Option(
    "What enters the queue: the live vectors (the released code), or those of a momentum copy of the model (MoCo).",
    value: "keys", base: released.model.queueKeys.rawValue)
  var queueKeys: ModelConfiguration.QueueKeys?

  @Option("How much of the momentum copy stays at each step, 0 to 1.", value: "share", base: released.model.keyMomentum)
  var keyMomentum: Double?

  @Option(
    "Steps behind a sequence's end: attend (like all others: the released code), mask (computed and masked), or packed "
      + "(left out of every product, with mask's results).", value: "how", base: released.model.padding.rawValue)
  var padding: ModelConfiguration.Padding?

  @Option(
    "Steps that unaligned visual and audio sequences are soft-aligned to, with an LSTM; by default none are.",
    value: "n")
  var alignedLength: Int?

  @Option(
    "Weight in the loss: cross-entropy of the scores from plain vectors.", value: "number",
    base: released.model.weights[.plainBCE])
  var plainBceWeight: Float?
  @Option(
    "Weight: cross-entropy of the scores from alpha vectors.", value: "number", base: released.model.weights[.alphaBCE])
  var alphaBceWeight: Float?
  @Option(
    "Weight: cross-entropy of the scores from beta vectors.", value: "number", base: released.model.weights[.betaBCE])
  var betaBceWeight: Float?
  @Option("Weight: contrastive loss.", value: "number", base: released.model.weights[.contrastive])
  var contrastiveWeight: Float?
  @Option(
    "Weight: squared distance of reconstructed from plain vectors.", value: "number",
    base: released.model.weights[.reconstructionMSE])
  var reconstructionMseWeight: Float?
  @Option(
    "Weight: squared distance of alpha from plain vectors.", value: "number", base: released.model.weights[.alphaMSE])
  var alphaMseWeight: Float?
  @Option(
    "Weight: squared distance of beta from plain vectors.", value: "number", base: released.model.weights[.betaMSE])
  var betaMseWeight: Float?
  @Option(
    "Weight: cross-entropy of the aggregated scores.", value: "number", base: released.model.weights[.aggregateBCE])
  var aggregateBceWeight: Float?
  @Option(
    "Weight: cross-entropy of the aggregated scores of shuffled betas.", value: "number",
    base: released.model.weights[.shuffledBCE])
  var shuffledBceWeight: Float?

  /// Transformer layers of each modality's encoder, of so many; nil if not given.
  private func depths(_ count: Int?) throws -> [Int]? {
    try layers.map { try wholeNumbers($0, count: count, option: "--layers", in: 0...1_000_000) }
  }

  func validate() throws { _ = try depths(nil) }

  func apply(to c: inout ModelConfiguration) throws {
    for (m, depth) in (try depths(c.modalities.count) ?? []).enumerated() { c.modalities[m].layers = depth }
    set(&c.hiddenSize, hiddenSize)
    set(&c.heads, heads)
    set(&c.feedForwardSize, feedForwardSize)
    set(&c.latentSize, latentSize)
    set(&c.queueSize, queueSize)
    set(&c.dropout, dropout)
    set(&c.temperature, temperature)
    set(&c.prototypeMomentum, prototypeMomentum)
    set(&c.anchors, anchors)
    set(&c.queueKeys, queueKeys)
    set(&c.keyMomentum, keyMomentum)
    set(&c.padding, padding)
    if let alignedLength {
      for m in c.modalities.indices.dropFirst() { c.modalities[m].alignedSteps = alignedLength }
    }
    let weights: [(LossTerm, Float?)] = [
      (.plainBCE, plainBceWeight), (.alphaBCE, alphaBceWeight), (.betaBCE, betaBceWeight),
      (.contrastive, contrastiveWeight), (.reconstructionMSE, reconstructionMseWeight), (.alphaMSE, alphaMseWeight),
      (.betaMSE, betaMseWeight), (.aggregateBCE, aggregateBceWeight), (.shuffledBCE, shuffledBceWeight),
    ]
    for (term, weight) in weights { set(&c.weights[term], weight) }
  }
}

/// Sizes of a batch of full length, for commands without data.
struct BatchOptions: ParsableArguments {
  @Option("Samples a step (B).", value: "n")
  var batchSize = 64

  @Option("Time steps of each sequence (T), or of text, visual and audio.", value: "n|n,n,n")
  var length = "60"

  @Option("Features a time step of text, visual and audio.", value: "n,n,n")
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
    try model.apply(to: &settings.model)
    settings.batchSize = batchSize
    if let contradiction = settings.contradiction { throw SettingsError(description: contradiction) }
    return settings
  }
}
