import Foundation
import TestSupport
import Testing

/// `train verify`: every file is judged, whatever is wrong with the others.
@Suite struct VerifyTests {
  private func dataset(in directory: TemporaryDirectory) throws {
    let outcome = try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory)
    #expect(outcome.status == 0, "\(outcome.error)")
  }

  @Test func aRunOfSomeModalitiesNeedsNoOthers() throws {
    let directory = try TemporaryDirectory()
    try FileManager.default.createDirectory(atPath: directory.file("d"), withIntermediateDirectories: false)
    for split in ["train", "valid", "test"] {
      var data = BadInputTests.SampleData()
      data.features.removeAll { $0.name == "visual" }
      try data.write(to: directory.file("d/\(split).safetensors"))
    }
    let run = ["run", "--data", "d", "--output", "r", "--modalities", "text,audio"] + Program.tiny
    let trained = try Program.run(run + ["--layers", "1,1"], in: directory)
    #expect(trained.status == 0, "\(trained.error)")
    let verified = try Program.run(["verify", "r"], in: directory)
    #expect(verified.status == 0, "\(verified)")
    #expect(
      verified.lines.filter { $0.contains("d/") }.count == 3 && verified.lines.allSatisfy { $0.hasSuffix(": good") })
  }

  @Test func missingDataHideNoDamage() throws {
    let directory = try TemporaryDirectory()
    try dataset(in: directory)
    let run = ["run", "--data", "d", "--output", "r", "--checkpoint-every", "1"] + Program.tiny
    #expect(try Program.run(run, in: directory).status == 0)
    let best = directory.file("r/best.safetensors")
    var bytes = try Data(contentsOf: URL(fileURLWithPath: best))
    bytes[bytes.count * 2 / 3] ^= 1
    try bytes.write(to: URL(fileURLWithPath: best))
    try FileManager.default.removeItem(atPath: directory.file("d/valid.safetensors"))
    let verified = try Program.run(["verify", "r"], in: directory)
    #expect(verified.status == 1, "\(verified)")
    let bad = verified.lines.filter { !$0.hasSuffix(": good") }
    #expect(bad.count == 2 && bad[0].contains("r/best.safetensors") && bad[1].contains("No such file"), "\(bad)")
    #expect(try Program.run(["verify", "r", "--data", "nowhere"], in: directory).status == 1)
    let one = try Program.run(["verify", "r/best.safetensors"], in: directory)
    #expect(one.status == 1 && one.lines.count == 1, "\(one)")
  }

  @Test func nothingToVerifyIsAnError() throws {
    let directory = try TemporaryDirectory()
    try dataset(in: directory)
    #expect(try Program.run(["run", "--data", "d", "--output", "r"] + Program.tiny, in: directory).status == 0)
    try FileManager.default.removeItem(atPath: directory.file("r/best.safetensors"))
    try FileManager.default.removeItem(atPath: directory.file("r/checkpoints"))
    let verified = try Program.run(["verify", "r"], in: directory)
    #expect(verified.status == 65 && verified.output.isEmpty, "\(verified)")
    #expect(verified.error.contains("r: expected checkpoints or best weights to verify, found none"))
  }
}
