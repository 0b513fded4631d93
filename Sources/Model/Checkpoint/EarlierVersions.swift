// What files that earlier versions wrote lack, and what it stands for: settings that there was no choice of, parts of a
// run's place that nothing depended on. All of it is here; what is optional in the settings may be absent anyway.

/// Settings of earlier versions that have no effect any more.
enum EarlierVersions {
  /// `shards`: the parts into which a batch was cut for the workers.
  static let settings: Set = ["shards"]
}

extension KeyedDecodingContainer {
  // What `Decodable` synthesises calls these.

  func decode(_ type: ModelConfiguration.Padding.Type, forKey key: Key) throws -> ModelConfiguration.Padding {
    try decodeIfPresent(type, forKey: key) ?? .packed
  }

  func decode(_ type: RunConfiguration.NonFinitePolicy.Type, forKey key: Key) throws -> RunConfiguration.NonFinitePolicy
  {
    try decodeIfPresent(type, forKey: key) ?? .stop
  }
}

extension Checkpoint.Position {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    epoch = try container.decode(Int.self, forKey: .epoch)
    step = try container.decode(Int.self, forKey: .step)
    // An epoch ended with its evaluation, and nothing else did.
    isEvaluated = try container.decodeIfPresent(Bool.self, forKey: .isEvaluated) ?? (epoch > 1 && step == 0)
    skips = try container.decodeIfPresent(Int.self, forKey: .skips) ?? 0
  }
}

extension Checkpoint.Record {
  /// Steps of an epoch of the run.
  package var epochSteps: Int {
    stepsPerEpoch ?? configuration.optimizer.totalSteps / max(configuration.epochs, 1)
  }
}
