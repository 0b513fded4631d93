import Foundation
import TestSupport
import Testing

/// Settings from files, weights from elsewhere.
@Suite struct SettingsTests {
  @Test func aRunsSettingsMakeTheSameRun() throws {
    let directory = try TemporaryDirectory()
    let first = try Program.run(["run", "--output", "a", "--json"] + Program.tiny + Program.tinyData, in: directory)
    let second = try Program.run(["run", "--output", "b", "--json", "--config", "a/config.json"], in: directory)
    #expect(second.status == 0, "\(second.error)")
    #expect(first.json["digest"] as? String == second.json["digest"] as? String)
    #expect(try Program.run(["diff", "a", "b"], in: directory).output.isEmpty)
    let third = try Program.run(
      ["run", "--output", "c", "--json", "--config", "a/config.json", "--seed", "5", "--epochs", "1"], in: directory)
    #expect(third.json["steps"] as? Int == 2, "\(third.error)")
  }

  /// Settings that may be absent are kept, by a settings file and by a resumption that names none of them.
  @Test func settingsThatMayBeAbsentStay() throws {
    let directory = try TemporaryDirectory()
    let given = [
      "--best-by", "mAP", "--patience", "9", "--tune-threshold", "label", "--average-weights", "0.9", "--pos-weight",
      "auto",
      "--max-steps", "3",
    ]
    let first = try Program.run(
      ["run", "--output", "a", "--json"] + Program.tiny + Program.tinyData + given, in: directory)
    #expect(first.status == 0, "\(first.error)")
    let second = try Program.run(["run", "--output", "b", "--json", "--config", "a/config.json"], in: directory)
    #expect(second.json["digest"] as? String == first.json["digest"] as? String, "\(second.error)")
    #expect(try Program.run(["diff", "a", "b"], in: directory).output.isEmpty)
    let again = try Program.run(["run", "--output", "a", "--json", "--resume"], in: directory)
    #expect(again.status == 0 && again.json["digest"] as? String == first.json["digest"] as? String, "\(again.error)")
    let other = try Program.run(["run", "--output", "a", "--resume", "--best-by", "macro_f1"], in: directory)
    #expect(other.status == 64 && other.error.contains("--best-by was mAP, is macro_f1"), "\(other.error)")
  }

  @Test func weightsStartARunAndAreEvaluated() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory).status == 0)
    let run = ["run", "--data", "d"] + Program.tiny
    #expect(try Program.run(run + ["--output", "a"], in: directory).status == 0)
    #expect(try Program.run(run + ["--output", "b", "--seed", "3"], in: directory).status == 0)
    func predictions(_ run: String, _ more: String...) throws -> String {
      try Program.run(["predict", run, "--data", "d"] + more, in: directory).output
    }
    #expect(try predictions("b", "--weights", "a/best.safetensors") == predictions("a"))
    #expect(try predictions("b") != predictions("a"))
    // With a learning rate of nearly nothing a run stays where it starts.
    let still = ["--learning-rate", "1e-30", "--weight-decay", "0", "--epochs", "1"]
    let started = try Program.run(
      run + ["--output", "c", "--init", "a/best.safetensors", "--json", "--prototype-momentum", "1"] + still,
      in: directory)
    #expect(started.status == 0, "\(started.error)")
    #expect(try predictions("c") == predictions("a"))
    let wrong = try Program.run(run + ["--output", "e", "--init", "d/train.safetensors"], in: directory)
    #expect(wrong.status == 65 && wrong.error.contains("d/train.safetensors") && !directory.exists("e"))
  }
}
