/// Everything that shapes the model and its loss; with the seed and the data it determines a run.
public struct ModelConfiguration: Codable, Sendable, Equatable {
  /// One modality's input and the depth of its encoder.
  public struct Modality: Codable, Sendable, Equatable {
    public var name: String
    /// F, raw features per time step.
    public var features: Int
    /// The greatest number of time steps, which is the number of position embeddings.
    public var maximumSteps: Int
    /// Transformer layers.
    public var layers: Int
    /// Steps that a soft alignment makes of a sequence before it is encoded; nil where the steps are encoded as they are.
    public var alignedSteps: Int?

    public init(name: String, features: Int, maximumSteps: Int, layers: Int) {
      self.name = name
      self.features = features
      self.maximumSteps = maximumSteps
      self.layers = layers
    }

    /// The greatest number of steps that the encoder sees.
    package var encodedSteps: Int { alignedSteps ?? maximumSteps }
  }

  /// What becomes of time steps behind a sequence's end.
  public enum Padding: String, Codable, Sendable, CaseIterable {
    /// They are steps like all others: the released code, whose masks are all ones.
    case attend
    /// They are computed, and masked as keys (−10000) and in label-wise attention: the reference with its masks.
    case mask
    /// They are left out of every product, which gives what `mask` gives.
    case packed
  }

  /// Which rows are anchors of the contrastive loss.
  public enum Anchors: String, Codable, Sendable, CaseIterable {
    /// Live and queue rows: the released code.
    case all
    /// Live rows only.
    case batch
  }

  /// What enters the queue.
  public enum QueueKeys: String, Codable, Sendable, CaseIterable {
    /// The live rows of the step: the released code.
    case live
    /// What a momentum copy of the parameters makes of the same samples, without dropout (MoCo).
    case momentum
  }

  /// M modalities, in the order of the fusion maps' inputs.
  public var modalities: [Modality]
  /// C
  public var labels: Int
  /// D
  public var hiddenSize = 256
  /// H; divides D.
  public var heads = 8
  public var feedForwardSize = 256
  /// P
  public var latentSize = 64
  /// Q, rows of the contrastive queue; 0 for none.
  public var queueSize = 8192
  public var dropout: Float = 0.3
  /// How much of a prototype stays when one more sample joins it.
  public var prototypeMomentum = 0.99
  /// τ of the contrastive loss.
  public var temperature: Float = 0.07
  public var anchors = Anchors.all
  public var queueKeys = QueueKeys.live
  /// m of the momentum copy: θ' ← m θ' + (1 − m) θ after each step.
  public var keyMomentum = 0.999
  public var padding = Padding.packed
  public var weights = LossWeights()
  /// Weights of labels' present samples in the cross-entropies; nil for 1.
  public var positiveWeights: PositiveWeights?

  public init(modalities: [Modality], labels: Int) {
    self.modalities = modalities
    self.labels = labels
  }

  /// Steps that the encoder of the longest modality sees.
  package var longestSequence: Int { modalities.map(\.encodedSteps).max() ?? 1 }

  /// Whether backward takes one layer after the other with its weights' gradients, because what long sequences leave for
  /// these would not fit for all. Queries, keys and values are made again then: half of the memory for a sixth more of a
  /// layer's products. Results do not depend on it.
  var takesLayersInTurn: Bool { longestSequence > 128 }

  /// 3M levels-and-modalities of unit latents a sample and label: plain, alpha, beta.
  package var liveRowsPerSample: Int { 3 * modalities.count * labels }

  /// Classes of the contrastive loss: (modality, positive or negative, label).
  package var contrastiveClasses: Int { 2 * modalities.count * labels }

  /// No size of a layer, a sequence or a batch is greater: products of three of them are still whole numbers.
  static let maximumSize = 1 << 20

  /// What contradicts itself, in words; nil if nothing does.
  package var contradiction: String? {
    let sizes: [(String, Int)] = [
      ("hidden size", hiddenSize), ("heads", heads), ("feed-forward size", feedForwardSize),
      ("latent size", latentSize), ("labels", labels),
    ]
    for (name, value) in sizes where value < 1 || value > Self.maximumSize {
      return "\(name) must be between 1 and 1048576, not \(value)"
    }
    if modalities.isEmpty { return "at least one modality is needed" }
    if Set(modalities.map { $0.name.prefix(1) }).count < modalities.count {
      return "modalities' names must begin with different letters, which name the fusion maps, not "
        + modalities.map(\.name).joined(separator: ", ")
    }
    for m in modalities {
      if m.layers < 0 || m.layers > 1000 { return "layers of \(m.name) must be between 0 and 1000, not \(m.layers)" }
      if m.features < 1 || m.maximumSteps < 1 { return "\(m.name) needs at least one feature and one time step" }
      if max(m.features, m.maximumSteps) > Self.maximumSize {
        return "\(m.name) has at most 1048576 features and time steps, not \(m.features) and \(m.maximumSteps)"
      }
      if let aligned = m.alignedSteps, !(1...m.maximumSteps).contains(aligned) {
        return "\(m.name) of at most \(m.maximumSteps) steps can't be aligned to \(aligned): it has a position "
          + "embedding for each of its steps and no more"
      }
    }
    if hiddenSize % heads != 0 {
      return "hidden size \(hiddenSize) is not divisible by \(heads) heads; choose a multiple of \(heads)"
    }
    if hiddenSize < 2 { return "hidden size must be at least 2, not \(hiddenSize)" }
    if queueSize < 0 || queueSize > 1 << 30 { return "queue size must be between 0 and 1073741824, not \(queueSize)" }
    if !(dropout >= 0 && dropout <= 0.99) { return "dropout must be between 0 and 0.99, not \(dropout)" }
    if !(temperature > 0 && temperature.isFinite) { return "temperature must be positive, not \(temperature)" }
    if !(keyMomentum >= 0 && keyMomentum <= 1) { return "key momentum must be between 0 and 1, not \(keyMomentum)" }
    if !(prototypeMomentum >= 0 && prototypeMomentum <= 1) {
      return "prototype momentum must be between 0 and 1, not \(prototypeMomentum)"
    }
    if case .list(let weights)? = positiveWeights, let wrong = weights.first(where: { !($0 > 0 && $0 < 1e6) }) {
      return "a weight of positive labels must be above 0 and below 1000000, not \(wrong)"
    }
    return nil
  }
}

/// The nine terms of the loss, in the reference's order.
public enum LossTerm: String, Codable, Sendable, CaseIterable {
  case plainBCE = "plain_bce"
  case alphaBCE = "alpha_bce"
  case betaBCE = "beta_bce"
  case contrastive
  case reconstructionMSE = "reconstruction_mse"
  case alphaMSE = "alpha_mse"
  case betaMSE = "beta_mse"
  case aggregateBCE = "aggregate_bce"
  case shuffledBCE = "shuffled_bce"

  /// Those of `allCases`, which are put together anew each time they are asked for.
  static let all = allCases

  /// In words.
  package var meaning: String {
    switch self {
    case .plainBCE: "cross-entropy of the scores from plain vectors"
    case .alphaBCE: "cross-entropy of the scores from alpha vectors"
    case .betaBCE: "cross-entropy of the scores from beta vectors"
    case .contrastive: "contrastive loss"
    case .reconstructionMSE: "squared distance of reconstructed from plain vectors"
    case .alphaMSE: "squared distance of alpha from plain vectors"
    case .betaMSE: "squared distance of beta from plain vectors"
    case .aggregateBCE: "cross-entropy of the aggregated scores"
    case .shuffledBCE: "cross-entropy of the aggregated scores of shuffled betas"
    }
  }

  /// Position among the terms.
  package var index: Int {
    switch self {
    case .plainBCE: 0
    case .alphaBCE: 1
    case .betaBCE: 2
    case .contrastive: 3
    case .reconstructionMSE: 4
    case .alphaMSE: 5
    case .betaMSE: 6
    case .aggregateBCE: 7
    case .shuffledBCE: 8
    }
  }
}

/// A weight for each term; the released code's values unless set.
public struct LossWeights: Codable, Sendable, Equatable {
  private var values: [Float] = [0.01, 0.1, 1, 1, 1, 1, 0, 1, 0.1]

  public init() {}

  public subscript(term: LossTerm) -> Float {
    get { values[term.index] }
    set { values[term.index] = newValue }
  }

  public init(from decoder: any Swift.Decoder) throws {
    let named = try decoder.singleValueContainer().decode([String: Float].self)
    for (name, value) in named {
      guard let term = LossTerm(rawValue: name) else {
        throw DecodingError.dataCorrupted(
          .init(codingPath: decoder.codingPath, debugDescription: "no loss term is called \(name)"))
      }
      self[term] = value
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(
      Dictionary(uniqueKeysWithValues: LossTerm.allCases.map { ($0.rawValue, self[$0]) }))
  }
}
