/// What a model has to know of data: each modality's steps and features, and the labels.
public struct DatasetShape: Sendable, Equatable {
  public struct Modality: Sendable, Equatable {
    public let name: String
    /// T
    public let steps: Int
    /// F
    public let features: Int
  }

  public let modalities: [Modality]
  public let labelNames: [String]

  public init(of split: DatasetSplit) {
    modalities = split.modalities.map { Modality(name: $0.name, steps: $0.steps, features: $0.features) }
    labelNames = split.labelNames
  }

  /// Of a data set that is to be generated.
  public init(of settings: SyntheticDataset.Settings) {
    modalities = settings.modalities.indices.map {
      Modality(name: settings.modalities[$0], steps: settings.steps[$0], features: settings.features[$0])
    }
    labelNames = SyntheticDataset.labelNames(settings.labels)
  }

  private init(_ modalities: [Modality], _ labelNames: [String]) {
    (self.modalities, self.labelNames) = (modalities, labelNames)
  }

  /// Some of the modalities, in the order of `names`; all if nil.
  ///
  /// - Parameter file: where the data will be, for the message.
  /// - Throws: if there is no modality of a name.
  public func only(_ names: [String]?, file: String) throws(DataError) -> DatasetShape {
    guard let names else { return self }
    var chosen: [Modality] = []
    for name in names {
      guard let modality = modalities.first(where: { $0.name == name }) else {
        throw DataError(
          file: file, expected: "modalities among \(modalities.map(\.name).joined(separator: ", "))",
          found: "'\(name)'",
          remedy: "correct --modalities")
      }
      chosen.append(modality)
    }
    return DatasetShape(chosen, labelNames)
  }
}
