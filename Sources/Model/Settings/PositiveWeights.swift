/// What a label's present samples weigh in the cross-entropies, its absent ones weighing 1: PyTorch's `pos_weight`.
public enum PositiveWeights: Codable, Sendable, Equatable, CustomStringConvertible {
  /// The training split's absent over present samples of each label.
  case auto
  /// One a label.
  case list([Float])

  /// - Parameter text: `auto`, or numbers separated by commas.
  package init?(_ text: String) {
    if text == "auto" {
      self = .auto
      return
    }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let weights = parts.compactMap { Float($0) }
    guard weights.count == parts.count else { return nil }
    self = .list(weights)
  }

  public var description: String {
    switch self {
    case .auto: "auto"
    case .list(let weights): weights.map { "\($0)" }.joined(separator: ",")
    }
  }

  public init(from decoder: any Swift.Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let weights = try? container.decode([Double].self) {
      self = .list(weights.map { Float($0) })
    } else if try container.decode(String.self) == "auto" {
      self = .auto
    } else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "neither \"auto\" nor a list of numbers")
    }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .auto: try container.encode("auto")
    case .list(let weights): try container.encode(weights)
    }
  }

  /// The weights themselves. A label that no sample has, or every one, weighs 1: there is nothing to balance.
  func resolved(for split: DatasetSplit) -> PositiveWeights {
    guard self == .auto else { return self }
    return .list(
      split.labelSupport.map { present in
        let absent = split.count - present
        return present > 0 && absent > 0 ? Float(absent) / Float(present) : 1
      })
  }
}
