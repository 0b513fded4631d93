/// Named settings, each of which fits data of any shape; docs/CARAT.md says where they come from.
public enum Preset: String, Sendable, CaseIterable {
  /// The authors' released code, as its script for aligned CMU-MOSEI runs it.
  case released
  /// The paper, where it differs from the released code.
  case paper
  /// The released code, as its script for M3ED runs it: the same settings.
  case m3ed
  /// The released code on unaligned sequences: all modalities but the first are soft-aligned to 50 steps.
  case unaligned
  /// A model that trains in a minute on a laptop.
  case small

  /// Changes what the preset says.
  public func apply(to settings: inout RunConfiguration) {
    settings.model.padding = .attend
    switch self {
    case .released, .m3ed:
      settings.model.setLayers(first: 6, others: 4)
    case .paper:
      settings.model.padding = .packed
      settings.model.anchors = .batch
      settings.model.setLayers(first: 6, others: 4)
    case .unaligned:
      settings.model.setLayers(first: 6, others: 4)
      for m in settings.model.modalities.indices.dropFirst() where settings.model.modalities[m].maximumSteps > 50 {
        settings.model.modalities[m].alignedSteps = 50
      }
    case .small:
      settings.model.padding = .packed
      settings.model.setLayers(first: 2, others: 1)
      (settings.model.hiddenSize, settings.model.heads, settings.model.feedForwardSize) = (64, 4, 64)
      (settings.model.latentSize, settings.model.queueSize) = (32, 1024)
      settings.batchSize = 32
      settings.optimizer.learningRate = 2e-4
    }
  }
}

extension ModelConfiguration {
  /// Transformer layers of the first modality's encoder and of the others.
  mutating func setLayers(first: Int, others: Int) {
    for m in modalities.indices { modalities[m].layers = m == 0 ? first : others }
  }
}
