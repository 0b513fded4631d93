import Files
import Foundation
import Model
import TestSupport
import Testing

@Suite struct DatasetTests {
  static func write(_ files: [SampleFile], in directory: TemporaryDirectory) throws {
    for (name, file) in zip(["train", "valid", "test"], files) {
      try file.write(to: directory.file(name + ".safetensors"))
    }
  }

  @Test func opensThreeSplits() throws {
    let directory = try TemporaryDirectory()
    var small = SampleFile()
    small.features = small.features.map { ($0.name, $0.width, Array($0.values.prefix($0.width * 3))) }
    small.labels = [1, 0]
    small.lengths = []
    try Self.write([SampleFile(), small, SampleFile()], in: directory)
    let dataset = try Dataset(directory: directory.path + "/")
    #expect(dataset.train.count == 4 && dataset.valid.count == 1 && dataset.test.name == "test")
  }

  @Test func aDataSetListsItsModalities() throws {
    let directory = try TemporaryDirectory()
    var file = SampleFile()
    file.features.append((name: "gesture", width: 3, values: [Float](repeating: 1, count: 36)))
    try Self.write([file, file, file], in: directory)
    // Unlisted, it is no modality.
    #expect(try Dataset(directory: directory.path).train.modalities.map(\.name) == ["text", "visual", "audio"])
    file.metadata["modalities"] = "gesture, text,audio ,visual"
    try Self.write([file, file, file], in: directory)
    let dataset = try Dataset(directory: directory.path)
    #expect(dataset.train.modalities.map(\.name) == ["gesture", "text", "audio", "visual"])
    #expect(dataset.test.modalities.map(\.features) == [3, 2, 1, 35])
    let path = directory.path
    #expect(try Dataset(directory: path, modalities: ["audio"]).valid.modalities.map(\.name) == ["audio"])
    file.metadata["modalities"] = "text,smell"
    try Self.write([file, file, file], in: directory)
    let error = #expect(throws: DataError.self) { try Dataset(directory: path) }
    #expect(error?.description.contains("'smell'") == true)
    file.metadata["modalities"] = "text,,text"
    try Self.write([file, file, file], in: directory)
    #expect(throws: DataError.self) { try Dataset(directory: path) }
  }

  @Test func aMissingFileSaysWhatIsExpected() throws {
    let directory = try TemporaryDirectory()
    try Self.write([SampleFile(), SampleFile()], in: directory)
    let path = directory.path
    let error = #expect(throws: DataError.self) { try Dataset(directory: path) }
    #expect(error?.file == path + "/test.safetensors" && error?.remedy.contains("train.safetensors") == true)
    #expect(throws: DataError.self) { try Dataset(directory: path + "/none") }
  }

  @Test func splitsMustAgree() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    var other = SampleFile()
    other.metadata["label_names"] = "tense,calm"
    try Self.write([SampleFile(), SampleFile(), other], in: directory)
    let names = #expect(throws: DataError.self) { try Dataset(directory: path) }
    #expect(names?.description.contains("labels calm,tense, as in split train, found labels tense,calm") == true)
    other = SampleFile()
    other.features[1] = ("visual", 5, other.features[1].values.dropLast(360))
    try Self.write([SampleFile(), other, SampleFile()], in: directory)
    let shapes = #expect(throws: DataError.self) { try Dataset(directory: path) }
    #expect(shapes?.file == path + "/valid.safetensors")
    #expect(shapes?.description.contains("expected visual of 3 steps with 35 features") == true)
    #expect(shapes?.description.contains("found visual of 3 steps with 5 features") == true)
  }

  /// The two small real data sets, for who has them beside the package.
  static let real = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
    "../../../../shared/data"
  )
  .standardized.path

  @Test(.enabled(if: FileManager.default.fileExists(atPath: real), "no real data sets beside the package"))
  func realDataSets() throws {
    let video = try Dataset(directory: Self.real + "/mosei_video")
    let videoCounts = [video.train, video.valid, video.test].map(\.count)
    #expect(videoCounts == [622, 100, 200])
    #expect(video.train.labelNames == ["happy", "sad", "anger", "surprise", "disgust", "fear"])
    #expect(video.train.modalities.map(\.features) == [768, 35, 40])
    let windows = try Dataset(directory: Self.real + "/mosi_windows")
    let windowsCounts = [windows.train, windows.valid, windows.test].map(\.count)
    #expect(windowsCounts == [409, 41, 133])
    #expect(windows.train.modalities.map(\.steps) == [10, 10, 10])
    #expect(windows.train.modalities.allSatisfy { $0.lengths.min()! >= 6 && $0.lengths.max()! == 10 })
  }
}
