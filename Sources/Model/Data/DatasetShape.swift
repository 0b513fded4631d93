import Files

/// What a model has to know of data: each modality's steps and features, and the labels.
package struct DatasetShape: Sendable, Equatable {
  package struct Modality: Sendable, Equatable {
    package let name: String
    /// T
    package let steps: Int
    /// F
    package let features: Int
  }

  package let modalities: [Modality]
  package let labelNames: [String]

  package init(of split: DatasetSplit) {
    modalities = split.modalities.map { Modality(name: $0.name, steps: $0.steps, features: $0.features) }
    labelNames = split.labelNames
  }

  /// Of a data set that is to be generated.
  package init(of settings: SyntheticDataset.Settings) {
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
  package func only(_ names: [String]?, file: String) throws(DataError) -> DatasetShape {
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
