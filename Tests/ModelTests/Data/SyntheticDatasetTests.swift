import Files
import Foundation
import Model
import TestSupport
import Testing

@Suite struct SyntheticDatasetTests {
  static var small: SyntheticDataset.Settings {
    var settings = SyntheticDataset.Settings()
    settings.train = 40
    settings.valid = 10
    settings.test = 300
    settings.steps = [12, 9, 5]
    settings.features = [20, 7, 11]
    return settings
  }

  @Test func theSameSeedGivesTheSameBytes() throws {
    let directories = [try TemporaryDirectory(), try TemporaryDirectory(), try TemporaryDirectory()]
    var other = Self.small
    other.seed = 2
    for (settings, directory) in zip([Self.small, Self.small, other], directories) {
      _ = try SyntheticDataset.write(settings, to: directory.path)
    }
    for split in ["train", "valid", "test"] {
      let bytes = try directories.map {
        try Data(contentsOf: URL(fileURLWithPath: $0.path + "/\(split).safetensors"))
      }
      #expect(bytes[0] == bytes[1] && bytes[0] != bytes[2])
    }
  }

  @Test func aSampleDoesNotDependOnHowManyThereAre() throws {
    let directories = [try TemporaryDirectory(), try TemporaryDirectory()]
    var more = Self.small
    more.test = 310
    _ = try SyntheticDataset.write(Self.small, to: directories[0].path)
    _ = try SyntheticDataset.write(more, to: directories[1].path)
    let splits = try directories.map { try Dataset.open("test", in: $0.path) }
    for (few, many) in zip(splits[0].modalities, splits[1].modalities) {
      #expect(Array(few.features(ofSample: 299)) == Array(many.features(ofSample: 299)))
    }
  }

  @Test func namesLengthsAndPadding() throws {
    let directory = try TemporaryDirectory()
    let summary = try SyntheticDataset.write(Self.small, to: directory.path)
    let dataset = try Dataset(directory: directory.path)
    #expect(dataset.test.labelNames == ["happy", "sad", "anger", "surprise", "disgust", "fear"])
    #expect(summary.splits.map(\.samples) == [40, 10, 300])
    for (i, modality) in dataset.test.modalities.enumerated() {
      #expect(modality.steps == Self.small.steps[i] && modality.features == Self.small.features[i])
      #expect(Set(modality.lengths).count > 2)
      for sample in 0..<dataset.test.count {
        let steps = modality.features(ofSample: sample)
        let end = modality.lengths[sample] * modality.features
        #expect(steps[end...].allSatisfy { $0 == 0 })
        #expect(!steps[(end - modality.features)..<end].allSatisfy { $0 == 0 })
      }
    }
  }

  /// The claim that matters, from the written bytes alone: read the evidence off the features, get the posterior by
  /// enumerating all 2^C label vectors with their prior, try every threshold.
  @Test func theBestMicroF1IsTheOneAnIndependentComputationFinds() throws {
    let directory = try TemporaryDirectory()
    let settings = Self.small
    let summary = try SyntheticDataset.write(settings, to: directory.path)
    let split = try Dataset.open("test", in: directory.path)
    let process = SyntheticProcess(settings)
    var scores: [Float] = []
    var labels: [Float] = []
    for sample in 0..<split.count {
      scores += Self.posterior(process, Self.evidence(process, in: split, sample: sample))
      labels += split.labels(ofSample: sample)
    }
    let best = (scores.map(\.nextDown) + scores).map {
      EvaluationMetricsTests.metrics(scores, labels, split.labelNames, threshold: $0).microF1
    }.max()!
    let claimed = try #require(split.metadata["best_micro_f1"].flatMap(Double.init))
    #expect(summary.splits[2].bestMicroF1 == claimed)
    #expect(abs(claimed - best) < 0.003, "claimed \(claimed), found \(best)")
    #expect(claimed > 0.78 && claimed < 0.9 && claimed > summary.splits[2].frequentLabelsMicroF1 + 0.2)
    // A posterior is calibrated: among labels given about p, about p are true.
    let sum = scores.reduce(0, +)
    #expect(abs(sum - labels.reduce(0, +)) < 4 * Float(split.count * 6).squareRoot() * 0.4)
  }

  /// Evidence [M][C]: a sequence's sum along each direction, over the burst's length and the gain.
  static func evidence(_ process: SyntheticProcess, in split: DatasetSplit, sample: Int) -> [[Double]] {
    split.modalities.enumerated().map { m, modality in
      let values = modality.features(ofSample: sample)
      return process.directions[m].map { direction in
        let sum = values.indices.reduce(0.0) { $0 + Double(values[$1] * direction[$1 % modality.features]) }
        return sum / Double(process.burst(m)) / process.settings.gain / Double(modality.features).squareRoot()
      }
    }
  }

  static func posterior(_ process: SyntheticProcess, _ evidence: [[Double]]) -> [Float] {
    let c = process.settings.labels
    var total = 0.0
    var present = [Double](repeating: 0, count: c)
    for vector in 0..<(1 << c) {
      let labels = (0..<c).map { vector >> $0 & 1 }
      let prior = zip(process.moods, process.presence).reduce(0.0) { sum, mood in
        sum + (0..<c).reduce(mood.0) { $0 * (labels[$1] == 1 ? mood.1[$1] : 1 - mood.1[$1]) }
      }
      var logarithm = 0.0
      for (m, row) in evidence.enumerated() {
        for label in 0..<c {
          let mean = (Double(labels[label]) - 0.5) * process.visibility[m][label]
          logarithm -= (row[label] - mean) * (row[label] - mean) / 2
        }
      }
      let joint = prior * exp(logarithm)
      total += joint
      for label in 0..<c where labels[label] == 1 { present[label] += joint }
    }
    return present.map { Float($0 / total) }
  }

  @Test func otherNumbersOfModalitiesAndLabels() throws {
    let directory = try TemporaryDirectory()
    var settings = Self.small
    settings.modalities = ["text", "touch"]
    settings.steps = [1, 3]
    settings.features = [1, 4]
    settings.labels = 1
    _ = try SyntheticDataset.write(settings, to: directory.path)
    let dataset = try Dataset(directory: directory.path, modalities: settings.modalities)
    #expect(dataset.train.labelNames == ["label0"] && dataset.train.modalities.map(\.steps) == [1, 3])
  }

  @Test func evidenceBeyondDoubtGivesEveryLabel() throws {
    let directory = try TemporaryDirectory()
    var settings = Self.small
    settings.visibility = 100
    let summary = try SyntheticDataset.write(settings, to: directory.path)
    #expect(summary.splits.map(\.bestMicroF1) == [1, 1, 1])
  }

  static let impossible: [@Sendable (inout SyntheticDataset.Settings) -> Void] = [
    { $0.train = 0 }, { $0.labels = 0 }, { $0.labels = 17 }, { $0.features[1] = 5 }, { $0.steps = [60] },
    { $0.steps[0] = 0 }, { $0.modalities = ["a", "a", "b"] }, { $0.visibility = .nan }, { $0.gain = -1 },
  ]

  @Test(arguments: impossible.indices) func impossibleSettings(index: Int) throws {
    let directory = try TemporaryDirectory()
    var settings = Self.small
    Self.impossible[index](&settings)
    #expect(throws: DataError.self) { try SyntheticDataset.write(settings, to: directory.path) }
    #expect(throws: DataError.self) { try SyntheticDataset.write(Self.small, to: directory.path + "/none") }
  }
}
