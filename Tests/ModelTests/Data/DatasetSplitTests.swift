import Files
import Tensor
import Foundation
import Model
import TestSupport
import Testing

@Suite struct DatasetSplitTests {
  @Test func viewsAndNames() throws {
    let directory = try TemporaryDirectory()
    try SampleFile().write(to: directory.file("mine.safetensors"))
    let split = try DatasetSplit(path: directory.file("mine.safetensors"))
    #expect(split.name == "mine" && split.count == 4 && split.labelCount == 2)
    #expect(split.labelNames == ["calm", "tense"])
    #expect(split.modalities.map(\.name) == ["text", "visual", "audio"])
    #expect(split.modalities.map(\.features) == [2, 35, 1])
    #expect(split.modalities.map(\.steps) == [3, 3, 3])
    #expect(split.modalities.map(\.lengths) == [[3, 3, 3, 3], [3, 3, 3, 3], [1, 2, 3, 3]])
    #expect(Array(split.modalities[0].features(ofSample: 2)) == [12, 13, 14, 15, 16, 17])
    #expect(Array(split.labels(ofSample: 1)) == [1, 1])
  }

  @Test func modalitiesAreAParameter() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a.safetensors")
    try SampleFile().write(to: path)
    #expect(try DatasetSplit(path: path, modalities: ["audio", "text"]).modalities.map(\.features) == [1, 2])
    let error = #expect(throws: DataError.self) { try DatasetSplit(path: path, modalities: ["smell"]) }
    #expect(error?.description.contains("'smell'") == true && error?.found.contains("visual") == true)
  }

  @Test func labelsHaveDefaultNames() throws {
    let directory = try TemporaryDirectory()
    var file = SampleFile()
    file.metadata = [:]
    try file.write(to: directory.file("a"))
    #expect(try DatasetSplit(path: directory.file("a")).labelNames == ["label0", "label1"])
  }

  @Test func copiesTheFirstSteps() throws {
    let directory = try TemporaryDirectory()
    var file = SampleFile()
    file.features[2].values[6] = -.infinity
    try file.write(to: directory.file("a"))
    let split = try DatasetSplit(path: directory.file("a"))
    #expect(split.modalities.map(\.hasNegativeInfinity) == [false, false, true])
    var copy = [Float](repeating: 9, count: 7)
    split.copyFeatures(sample: 3, modality: 0, steps: 2, into: &copy)
    #expect(copy == [18, 19, 20, 21, 9, 9, 9])
    split.copyFeatures(sample: 2, modality: 2, steps: 3, into: &copy)
    #expect(copy == [0, 0.25, 0.25, 21, 9, 9, 9])
    split.copyFeatures(sample: 2, modality: 2, steps: 0, into: &copy)
    #expect(copy[0] == 0)
    #expect(split.modalities[2].features(ofSample: 2)[0] == -.infinity)
  }

  static let spoilt: [(spoil: @Sendable (inout SampleFile) -> Void, message: String)] = [
    ({ $0.features[0].values[15] = .nan }, "found nan in split valid, sample 2, text, step 1, feature 1"),
    ({ $0.features[1].values[105 + 34] = .nan }, "found nan in split valid, sample 1, visual, step 0, feature 34"),
    ({ $0.features[1].values[419] = .infinity }, "found inf in split valid, sample 3, visual, step 2, feature 34"),
    ({ $0.features[0].values[0] = -.infinity }, "found -inf in split valid, sample 0, text, step 0, feature 0"),
    ({ $0.features[2].values[5] = .infinity }, "found inf in split valid, sample 1, audio, step 2, feature 0"),
    (
      {
        $0.features[2].values[4] = -.infinity; $0.features[2].values[5] = .nan
      }, "found nan in split valid, sample 1, audio"
    ),
    ({ $0.labels[5] = 0.5 }, "found 0.5 in split valid, sample 2, label 1"),
    ({ $0.labels[0] = .nan }, "found nan in split valid, sample 0, label 0"),
    ({ $0.lengths[0].values[1] = 0 }, "audio_length of 1 to 3, found 0 in split valid, sample 1"),
    ({ $0.lengths[0].values[3] = 4 }, "audio_length of 1 to 3, found 4 in split valid, sample 3"),
    ({ $0.lengths[0].values.removeLast() }, "tensor 'audio_length' of shape [4], found [3]"),
    ({ $0.features[1].values.removeLast(105) }, "tensor 'visual' of shape [4, any, any], found [3, 3, 35]"),
    ({ $0.features.remove(at: 1) }, "a tensor 'visual', found text, audio, labels, audio_length"),
    ({ $0.labels = [] }, "at least one sample"),
    ({ $0.metadata["label_names"] = "one" }, "2 different label_names separated by commas, found 'one'"),
    ({ $0.metadata["label_names"] = "one,one" }, "2 different label_names"),
  ]

  @Test(arguments: spoilt.indices) func badInputIsNamed(index: Int) throws {
    let directory = try TemporaryDirectory()
    var file = SampleFile()
    Self.spoilt[index].spoil(&file)
    let path = directory.file("valid.safetensors")
    try file.write(to: path)
    let error = #expect(throws: DataError.self) { try Dataset.open("valid", in: directory.path) }
    let line = error?.description ?? ""
    #expect(line.hasPrefix("\(path): expected ") && line.contains(Self.spoilt[index].message), "\(line)")
    #expect(!line.contains("\n") && line.contains("; "))
  }

  /// Whatever a damaged file says, it is refused, or all of it can be read.
  @Test func thousandsOfMutations() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("a.safetensors")
    try SampleFile().write(to: path)
    let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    var random = SplitMix64(seed: 2)
    var opened = 0
    for round in 0..<3000 {
      var bytes = whole
      // Odd rounds spoil the header, where the digits of shapes and offsets are; even rounds anything.
      let range = round % 2 == 1 ? 8..<700 : 0..<whole.count
      for _ in 0..<2 { bytes[Int.random(in: range, using: &random)] = .random(in: 44...58, using: &random) }
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      guard let split = try? DatasetSplit(path: path) else { continue }
      opened += 1
      for sample in 0..<split.count {
        for (i, modality) in split.modalities.enumerated() {
          var copy = [Float](repeating: 0, count: modality.steps * modality.features)
          split.copyFeatures(sample: sample, modality: i, steps: modality.lengths[sample], into: &copy)
          #expect(copy.allSatisfy { $0.isFinite })
        }
        #expect(split.labels(ofSample: sample).allSatisfy { $0 == 0 || $0 == 1 })
      }
    }
    #expect(opened > 0 && opened < 3000)
  }
}
