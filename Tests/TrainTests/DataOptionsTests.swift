import Foundation
import TestSupport
import Testing

/// Labels of generated data: the same limit on the command line and in a settings file.
@Suite struct DataOptionsTests {
  private func run(labels: Int, _ more: [String] = [], in directory: TemporaryDirectory) throws -> Program.Outcome {
    let data = """
      {"train": 20, "valid": 9, "test": 10, "steps": [4, 4, 4], "features": [20, 20, 20], "labels": \(labels), \
      "modalities": ["text", "visual", "audio"], "seed": 1, "visibility": 1.8, "gain": 0.25}
      """
    try Data("{\"data\": {\"generated\": \(data)}}".utf8)
      .write(to: URL(fileURLWithPath: directory.file("c.json")))
    return try Program.run(
      ["run", "--config", "c.json", "--output", "r", "--overwrite"] + Program.tiny + ["--epochs", "1"] + more,
      in: directory)
  }

  @Test func aSettingsFileHasTheLimitOfTheOption() throws {
    let directory = try TemporaryDirectory()
    let most = try run(labels: 16, in: directory)
    #expect(most.status == 0, "\(most)")
    let generated = try Program.run(
      ["generate", "--output", "d", "--labels", "16", "--samples", "9,2,2"], in: directory)
    #expect(generated.status == 0, "\(generated)")
    let many = try run(labels: 17, in: directory)
    #expect(many.status == 65 && many.error.contains("c.json: expected 1 to 16 labels, found 17"), "\(many)")
  }

  @Test func onlyOptionsThatWereGivenAreNamed() throws {
    let directory = try TemporaryDirectory()
    let features = try run(labels: 16, ["--features", "20,9,20"], in: directory)
    #expect(features.status == 64 && features.error.contains("--features") && !features.error.contains("--labels"))
    let data = ["generate", "--output", "d", "--labels", "12", "--features", "35,11,74"]
    #expect(try Program.run(data, in: directory).status == 64)
  }
}
