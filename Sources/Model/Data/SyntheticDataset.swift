import Files
import Tensor
import Foundation

/// A data set of MOSEI's shape that anybody may have, made from a seed, which knows the best micro-F1 within reach.
///
/// `SyntheticProcess` says how samples come about and why their labels' exact posterior is known. The best micro-F1
/// of a split is that of this posterior with the threshold that serves the split's own labels best.
package enum SyntheticDataset {
  /// The most labels that a sample may have.
  package static let maximumLabels = 16

  /// What is generated. The same settings give the same bytes.
  package struct Settings: Codable, Sendable, Equatable {
    /// Samples of each split.
    package var train = 512
    package var valid = 128
    package var test = 256
    /// The modalities' names, steps T and features F; equally many of each.
    package var modalities = Dataset.modalityNames
    package var steps = [60, 60, 60]
    package var features = [300, 35, 74]
    /// C, 1 to `maximumLabels`.
    package var labels = 6
    package var seed: UInt64 = 1
    /// Standard deviations between the evidence of a present and of an absent label, in the modality where the label
    /// is plainest (0.6 of it in the next, 0.36 in the third): the higher, the higher is the best micro-F1.
    package var visibility = 1.8
    /// A burst's size for evidence of 1, relative to the noise of a whole step: the lower, the more samples it takes
    /// to come near the best micro-F1, which stays what it is.
    package var gain = 0.25

    package init() {}
  }

  /// What was written.
  package struct Summary: Codable, Sendable {
    package struct Split: Codable, Sendable {
      package let name: String
      package let path: String
      package let samples: Int
      /// The micro-F1 that no trainer is expected to beat, chance aside.
      package let bestMicroF1: Double
      /// The threshold on the posterior that gives it.
      package let bestThreshold: Float
      /// The micro-F1 of the posterior at 0.25, the threshold CARAT uses.
      package let microF1AtQuarter: Double
      /// The micro-F1 of one fixed answer for all samples: the frequent labels.
      package let frequentLabelsMicroF1: Double

      private enum CodingKeys: String, CodingKey {
        case name, path, samples
        case bestMicroF1 = "best_micro_f1"
        case bestThreshold = "best_threshold"
        case microF1AtQuarter = "best_micro_f1_at_0.25"
        case frequentLabelsMicroF1 = "frequent_labels_micro_f1"
      }
    }

    package let labelNames: [String]
    package let splits: [Split]

    private enum CodingKeys: String, CodingKey {
      case splits
      case labelNames = "label_names"
    }
  }

  /// What a generated file says of itself: what can be reached on it.
  package struct Reachable: Codable, Sendable, Equatable {
    /// The micro-F1 of the posterior with the threshold that serves the split best.
    package let microF1: Double
    /// The micro-F1 of the posterior at 0.25.
    package let microF1AtQuarter: Double
    /// The micro-F1 of one fixed answer for all samples.
    package let frequentLabelsMicroF1: Double

    private enum CodingKeys: String, CodingKey {
      case microF1 = "best_micro_f1"
      case microF1AtQuarter = "best_micro_f1_at_0.25"
      case frequentLabelsMicroF1 = "frequent_labels_micro_f1"
    }

    /// Nil if the split was not generated.
    package init?(of split: DatasetSplit) {
      func number(_ key: CodingKeys) -> Double? { split.metadata[key.stringValue].flatMap { Double($0) } }
      guard let best = number(.microF1), let quarter = number(.microF1AtQuarter),
        let frequent = number(.frequentLabelsMicroF1)
      else { return nil }
      (microF1, microF1AtQuarter, frequentLabelsMicroF1) = (best, quarter, frequent)
    }
  }

  /// The names of the labels: MOSEI's six emotions if there are six.
  package static func labelNames(_ count: Int) -> [String] {
    count == 6 ? ["happy", "sad", "anger", "surprise", "disgust", "fear"] : (0..<count).map { "label\($0)" }
  }

  /// Writes `train|valid|test.safetensors` to an existing directory. A split is held in memory while it is written.
  ///
  /// - Throws: `DataError` if the settings are impossible, a file can't be written or one is there that was not
  ///   generated, `MemoryShortage` if a split can't be held.
  package static func write(_ settings: Settings, to directory: String) throws -> Summary {
    try check(settings, directory: directory)
    try requireReplaceable(directory)
    let process = SyntheticProcess(settings)
    var splits: [Summary.Split] = []
    let sizes = [("train", settings.train), ("valid", settings.valid), ("test", settings.test)]
    for (index, size) in sizes.enumerated() {
      let split = GeneratedSplit(process, index: index, samples: size.1)
      let path = Dataset.path(of: size.0, in: directory)
      splits.append(try split.write(name: size.0, to: path, settings: settings))
    }
    return Summary(labelNames: labelNames(settings.labels), splits: splits)
  }

  /// What can be said against the settings before anything is written.
  ///
  /// - Parameter directory: what messages name.
  /// - Throws: `DataError` if they are impossible, `MemoryShortage` if a split can't be held.
  package static func check(_ settings: Settings, directory: String) throws {
    try checkRanges(settings, directory: directory)
    let sequences = zip(settings.steps, settings.features).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    let samples = Double(max(settings.train, settings.valid, settings.test))
    try MemoryShortage.check(
      "generating this data set", parts: [("the sequences of its largest split", 4 * samples * sequences)],
      remedy: "choose fewer --samples, --steps or --features")
  }

  /// Somebody's own data stay, even if a directory for generated ones is named where they are.
  private static func requireReplaceable(_ directory: String) throws(DataError) {
    for split in Dataset.splitNames {
      let path = Dataset.path(of: split, in: directory)
      guard FileManager.default.fileExists(atPath: path) else { continue }
      let metadata = (try? SafetensorsFile(path: path))?.metadata
      guard metadata?["best_micro_f1"] == nil else { continue }
      throw DataError(
        file: path, expected: "no file, or one that was generated", found: "other data, which would be lost",
        remedy: "choose another --output, or move the file away")
    }
  }

  /// - Throws: if the settings are impossible.
  static func checkRanges(_ settings: Settings, directory: String) throws(DataError) {
    func require(_ holds: Bool, _ expected: String, _ found: String) throws(DataError) {
      guard !holds else { return }
      throw DataError(
        file: directory, expected: expected, found: found, remedy: "change the settings of the synthetic data")
    }
    let sizes = [settings.train, settings.valid, settings.test]
    let counts = [settings.modalities.count, settings.steps.count, settings.features.count]
    try require(sizes.allSatisfy { (1...10_000_000).contains($0) }, "1 to 10,000,000 samples a split", "\(sizes)")
    try require(
      (1...maximumLabels).contains(settings.labels), "1 to \(maximumLabels) labels", "\(settings.labels)")
    try require(
      counts[0] > 0 && counts.allSatisfy { $0 == counts[0] }, "as many names as steps and features of modalities",
      "\(counts)")
    try require(Set(settings.modalities).count == counts[0], "different names of modalities", "\(settings.modalities)")
    try require(settings.steps.allSatisfy { (1...100_000).contains($0) }, "1 to 100,000 steps", "\(settings.steps)")
    try require(
      settings.features.allSatisfy { (settings.labels...100_000).contains($0) },
      "at least as many features as labels (\(settings.labels)), at most 100,000", "\(settings.features)")
    try require(
      (0...100).contains(settings.visibility) && (0...1000).contains(settings.gain),
      "a visibility of 0 to 100 and a gain of 0 to 1000", "\(settings.visibility) and \(settings.gain)")
  }
}

/// The tensors of one split, and what is known of its labels.
private struct GeneratedSplit {
  var labels: [Float] = []
  var posterior: [Float] = []
  /// A modality's sequences [N, T, F] and lengths [N].
  var modalities: [(features: [Float], lengths: [Int32])] = []

  init(_ process: SyntheticProcess, index: Int, samples: Int) {
    let settings = process.settings
    // A sample has its own generator, so that it does not depend on how many come before it.
    func random(_ sample: Int) -> SplitMix64 { SplitMix64(seed: settings.seed, UInt64(index) + 1, UInt64(sample)) }
    for sample in 0..<samples {
      var random = random(sample)
      let drawn = process.sample(using: &random)
      labels += drawn.labels
      posterior += process.posterior(evidence: drawn.evidence).map(Float.init)
    }
    for modality in settings.modalities.indices {
      let size = settings.steps[modality] * settings.features[modality]
      var features = [Float](repeating: 0, count: samples * size)
      var lengths: [Int32] = []
      features.withUnsafeMutableBufferPointer { features in
        for sample in 0..<samples {
          var random = random(sample)
          let drawn = process.sample(using: &random)
          lengths.append(Int32(process.length(of: drawn, modality: modality)))
          var noise = SplitMix64(seed: random.next(), UInt64(modality))
          process.fill(
            UnsafeMutableBufferPointer(rebasing: features[sample * size..<(sample + 1) * size]), sample: drawn,
            modality: modality, using: &noise)
        }
      }
      modalities.append((features, lengths))
    }
  }

  func write(name: String, to path: String, settings: SyntheticDataset.Settings) throws(DataError)
    -> SyntheticDataset.Summary.Split
  {
    let names = SyntheticDataset.labelNames(settings.labels)
    let samples = labels.count / names.count
    let best = BestThreshold(scores: posterior, labels: labels)
    let rates = (0..<names.count).map { label in
      stride(from: label, to: labels.count, by: names.count).reduce(Float(0)) { $0 + labels[$1] } / Float(samples)
    }
    let frequent = BestThreshold(scores: labels.indices.map { rates[$0 % names.count] }, labels: labels)
    let quarter = posterior.withUnsafeBufferPointer { scores in
      labels.withUnsafeBufferPointer {
        EvaluationMetrics(
          scores: scores, labels: $0, labelNames: names, thresholds: Array(repeating: 0.25, count: names.count))
      }
    }
    let metadata = [
      "format": "carat-dataset-1", "label_names": names.joined(separator: ","), "best_micro_f1": "\(best.microF1)",
      "best_micro_f1_at_0.25": "\(quarter.microF1)", "frequent_labels_micro_f1": "\(frequent.microF1)",
      "best_threshold": "\(best.threshold)", "seed": "\(settings.seed)",
    ]
    try write(to: path, metadata: metadata, settings: settings)
    return SyntheticDataset.Summary.Split(
      name: name, path: path, samples: samples, bestMicroF1: best.microF1, bestThreshold: best.threshold,
      microF1AtQuarter: quarter.microF1, frequentLabelsMicroF1: frequent.microF1)
  }

  private func write(to path: String, metadata: [String: String], settings: SyntheticDataset.Settings) throws(DataError)
  {
    let samples = labels.count / settings.labels
    // The sources are only addresses, valid within the scope that made them: so one scope a tensor, nested.
    func add(_ next: Int, to sources: [TensorSource]) throws(DataError) {
      guard next < modalities.count else {
        try labels.withUnsafeBufferPointer { (labels) throws(DataError) in
          let all = sources + [TensorSource(name: "labels", shape: [samples, settings.labels], floats: labels)]
          try SafetensorsWriter(tensors: all, metadata: metadata).write(to: path)
        }
        return
      }
      let name = settings.modalities[next]
      let shape = [samples, settings.steps[next], settings.features[next]]
      try modalities[next].features.withUnsafeBufferPointer { (features) throws(DataError) in
        try modalities[next].lengths.withUnsafeBufferPointer { (lengths) throws(DataError) in
          let more = [
            TensorSource(name: name, shape: shape, floats: features),
            TensorSource(name: name + "_length", shape: [samples], int32s: lengths),
          ]
          try add(next + 1, to: sources + more)
        }
      }
    }
    try add(0, to: [])
  }
}
