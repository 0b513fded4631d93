import Foundation
import TestSupport
import Testing

/// Presets, other modalities, other treatments of padding, on data that train in milliseconds.
@Suite struct PresetTests {
  static let sizes = [
    "--hidden-size", "16", "--heads", "2", "--feed-forward-size", "16", "--latent-size", "8", "--queue-size", "64",
    "--batch-size", "8", "--epochs", "1",
  ]

  func configuration(_ run: String, in directory: TemporaryDirectory) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: directory.file(run + "/config.json")))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  func model(_ run: String, in directory: TemporaryDirectory) throws -> [String: Any] {
    try #require(try configuration(run, in: directory)["model"] as? [String: Any])
  }

  @Test(arguments: ["released", "paper", "m3ed", "unaligned", "small"])
  func eachPresetTrains(_ preset: String) throws {
    let directory = try TemporaryDirectory()
    let data = [
      "--samples", "16,8,8", "--steps", preset == "unaligned" ? "4,60,60" : "4", "--features", "5,4,3", "--labels", "3",
    ]
    let run = try Program.run(["run", "--output", "r", "--preset", preset] + Self.sizes + data, in: directory)
    #expect(run.status == 0, "\(run.error)")
    let model = try model("r", in: directory)
    let modalities = try #require(model["modalities"] as? [[String: Any]])
    let layers = modalities.map { $0["layers"] as? Int }
    switch preset {
    case "released", "m3ed", "unaligned": #expect(layers == [6, 4, 4] && model["padding"] as? String == "attend")
    case "paper": #expect(layers == [6, 4, 4] && model["anchors"] as? String == "batch")
    default: #expect(layers == [2, 1, 1])
    }
    #expect(
      modalities.map { $0["alignedSteps"] as? Int } == (preset == "unaligned" ? [nil, 50, 50] : [nil, nil, nil]))
  }

  @Test func anOptionGoesBeforeAPreset() throws {
    let directory = try TemporaryDirectory()
    let run = try Program.run(
      ["run", "--output", "r", "--preset", "paper", "--anchors", "all", "--layers", "1,0,1"] + Self.sizes
        + Program.tinyData, in: directory)
    #expect(run.status == 0, "\(run.error)")
    #expect(try model("r", in: directory)["anchors"] as? String == "all")
  }

  @Test(arguments: [(["text", "audio"], "1,1"), (["audio"], "2"), (["audio", "visual", "text"], "0,1,0")])
  func someModalities(names: [String], layers: String) throws {
    let directory = try TemporaryDirectory()
    let list = names.joined(separator: ",")
    let options = ["--modalities", list, "--layers", layers] + Self.sizes + Program.tinyData
    let run = try Program.run(["run", "--output", "r", "--workers", "2", "--json"] + options, in: directory)
    #expect(run.status == 0, "\(run.error)")
    let found = try #require(try model("r", in: directory)["modalities"] as? [[String: Any]])
    #expect(found.map { $0["name"] as? String } == names)
    let again = try Program.run(["run", "--output", "s", "--workers", "3", "--json"] + options, in: directory)
    #expect(run.json["digest"] as? String == again.json["digest"] as? String)
    // What reads the run later knows its modalities.
    let resumed = try Program.run(["run", "--output", "r", "--resume", "--json"], in: directory)
    #expect(resumed.json["digest"] as? String == run.json["digest"] as? String, "\(resumed.error)")
    #expect(try Program.run(["predict", "r", "--data", "r/data"], in: directory).lines.count == 11)
  }

  @Test func unknownModalitiesAreNamed() throws {
    let directory = try TemporaryDirectory()
    let run = try Program.run(["run", "--output", "r", "--modalities", "text,smell"] + Self.sizes, in: directory)
    #expect(run.status == 65 && run.error.contains("'smell'"), "\(run.error)")
    let layers = try Program.run(
      ["run", "--output", "r", "--modalities", "text,audio", "--layers", "1,1,1"] + Self.sizes, in: directory)
    #expect(layers.status == 64 && layers.error.contains("--layers takes 2"), "\(layers.error)")
    #expect(try directory.names() == [])
  }
}
