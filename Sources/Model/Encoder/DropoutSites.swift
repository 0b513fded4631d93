import Tensor

/// The dropouts of one step: each site of the model has a key of its own, derived from (seed, step, site).
struct DropoutSites: Sendable {
  enum Site: UInt32 {
    case embeddings, probabilities, attentionOutput, layerOutput
  }

  private let rate: Float
  private let key: RandomKey

  init(rate: Float, seed: UInt64, step: Int) {
    self.rate = rate
    key = RandomKey(seed: seed).derived(RandomPurpose.dropout.rawValue, UInt32(truncatingIfNeeded: step))
  }

  /// No dropout anywhere: evaluation, and replays.
  static let none = DropoutSites(rate: 0, seed: 0, step: 0)

  func callAsFunction(_ site: Site, modality: Int, layer: Int = 0) -> Dropout {
    if rate == 0 { return .none }
    return Dropout(probability: rate, key: key.derived(site.rawValue, UInt32(modality << 16 | layer)))
  }
}

/// What the draws of a run are for; the first word from which a purpose's key is derived.
enum RandomPurpose: UInt32 {
  case initialisation = 1
  case dropout, sampleOrder, sampleShuffle, modalityShuffle
}
