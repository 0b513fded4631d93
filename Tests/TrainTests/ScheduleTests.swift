import Foundation
import TestSupport
import Testing

/// The end of a run by steps, and the learning rate of one that continues with another end.
@Suite struct ScheduleTests {
  static let run = ["run", "--output", "r", "--json"] + Program.tiny + Program.tinyData

  func records(_ directory: TemporaryDirectory, _ run: String = "r") throws -> [[String: Any]] {
    try String(contentsOfFile: directory.file(run + "/metrics.jsonl"), encoding: .utf8).split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  func rates(_ directory: TemporaryDirectory, _ run: String = "r") throws -> [Float] {
    try records(directory, run).compactMap { ($0["learning_rate"] as? Double).map { Float($0) } }
  }

  func configuration(_ directory: TemporaryDirectory) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: directory.file("r/config.json")))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  // MARK: Steps

  @Test func stepsOfSequencesAreNotTakenForStepsOfTheRun() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory).status == 0)
    let run = ["run", "--data", "d", "--output", "r"] + Program.tiny
    for (option, value) in [("--samples", "9,9,9"), ("--steps", "100"), ("--features", "5,4,3"), ("--labels", "3")] {
      let outcome = try Program.run(run + [option, value], in: directory)
      #expect(outcome.status == 64 && outcome.error.contains("\(option) is of data"), "\(outcome.error)")
      #expect(outcome.error.contains("--max-steps") == (option == "--steps"), "\(outcome.error)")
      #expect(!directory.exists("r"))
    }
    // The data set of a settings file is one too.
    #expect(try Program.run(run, in: directory).status == 0)
    let filed = try Program.run(["run", "--config", "r/config.json", "--output", "s", "--steps", "4"], in: directory)
    #expect(filed.status == 64 && filed.error.contains("--max-steps") && !directory.exists("s"), "\(filed.error)")
    let resumed = try Program.run(["run", "--output", "r", "--resume", "--steps", "4"], in: directory)
    #expect(resumed.status == 64 && resumed.error.contains("--max-steps"), "\(resumed.error)")
  }

  @Test func maximumStepsEndARun() throws {
    let directory = try TemporaryDirectory()
    let cut = try Program.run(Self.run + ["--max-steps", "3"], in: directory)
    #expect(cut.status == 0 && cut.json["steps"] as? Int == 3 && cut.json["max_steps"] as? Int == 3, "\(cut)")
    #expect(cut.output.contains("2 epochs of 2 steps, ended by --max-steps after 3 steps"), "\(cut.output)")
    #expect(cut.lines.contains { $0.hasPrefix("epoch 2/2") })
    #expect(try configuration(directory)["maxSteps"] as? Int == 3)
    // More than its epochs have: they end it, and that is said.
    let long = try Program.run(Self.run + ["--max-steps", "9", "--overwrite"], in: directory)
    #expect(long.json["steps"] as? Int == 4 && long.output.contains("end it before --max-steps 9"), "\(long)")
    // Alone it decides.
    let tiny = Array(Program.tiny.dropLast(2))
    let alone = ["run", "--output", "s", "--json", "--max-steps", "101"] + tiny + Program.tinyData
    let outcome = try Program.run(alone, in: directory)
    #expect(outcome.json["steps"] as? Int == 101 && outcome.output.contains("51 epochs of 2 steps"), "\(outcome)")
    for wrong in ["0", "-1", "x"] {
      let refused = try Program.run(Self.run + ["--max-steps", wrong, "--overwrite"], in: directory)
      #expect(refused.status == 64 && refused.output.isEmpty)
    }
  }

  @Test func maximumStepsAreASettingOfTheRun() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run + ["--max-steps", "3"], in: directory).status == 0)
    let resume = ["run", "--output", "r", "--resume", "--json"]
    #expect(try Program.run(resume, in: directory).json["steps"] as? Int == 3)
    let refused = try Program.run(resume + ["--max-steps", "4"], in: directory)
    #expect(refused.status == 64 && refused.error.contains("--max-steps was 3, is 4"), "\(refused.error)")
    let allow = resume + ["--allow-changed", "max-steps"]
    let few = try Program.run(allow + ["--max-steps", "2"], in: directory)
    #expect(few.status == 64 && few.error.contains("has taken 3 steps"), "\(few.error)")
    let more = try Program.run(allow + ["--max-steps", "4"], in: directory)
    #expect(more.status == 0 && more.json["steps"] as? Int == 4, "\(more)")
    #expect(
      try records(directory).filter { $0["event"] as? String == "step" }.compactMap { $0["step"] as? Int } == [
        1, 2, 3, 4,
      ])
  }

  // MARK: The learning rate

  /// As if a run of 40 steps had been killed in the fall of its learning rate.
  ///
  /// - Returns: the steps of the checkpoint that is left, and all rates.
  @discardableResult func half(_ directory: TemporaryDirectory) throws -> (steps: Int, rates: [Float]) {
    let run = Self.run + ["--epochs", "20", "--checkpoint-every", "1", "--keep", "99", "--overwrite"]
    #expect(try Program.run(run, in: directory).status == 0)
    let checkpoints = try FileManager.default.contentsOfDirectory(atPath: directory.file("r/checkpoints")).sorted()
    func steps(_ name: String) -> Int { Int(name.filter(\.isNumber)) ?? 0 }
    // A checkpoint that is due waits for a file that is still being written, but no longer than the epoch lasts.
    #expect(Set(checkpoints.map(steps)).isSuperset(of: stride(from: 2, through: 40, by: 2)), "\(checkpoints)")
    let kept = try #require(checkpoints.first { (10..<40).contains(steps($0)) })
    for name in checkpoints where name != kept {
      try FileManager.default.removeItem(atPath: directory.file("r/checkpoints/" + name))
    }
    try FileManager.default.removeItem(atPath: directory.file("r/result.json"))
    return (steps(kept), try rates(directory))
  }

  /// Shares of the peak that the next step and the last of 60 have, after n of 40 steps; the warm-up is a tenth.
  static let changes:
    [(schedule: [String], words: String, next: @Sendable (Double) -> Double, last: @Sendable (Double) -> Double)] = [
      ([], "as in a run", { (1 - $0 / 60) / 0.9 }, { _ in 1 / 54 }),
      (
        ["--schedule", "continue"], "continued", { (1 - $0 / 40) / 0.9 }, { (1 - $0 / 40) / 0.9 / (60 - $0) }
      ),
      (["--schedule", "restart"], "restarted", { _ in 0 }, { 1 / (60 - $0) / 0.9 }),
    ]

  @Test(arguments: changes.indices) func aLongerRunsRateIsTold(_ i: Int) throws {
    let (schedule, words, next, last) = Self.changes[i]
    let directory = try TemporaryDirectory()
    let (n, before) = try half(directory)
    try FileManager.default.copyItem(atPath: directory.file("r"), toPath: directory.file("twin"))
    let change = ["--allow-changed", "epochs", "--epochs", "30", "--json"] + schedule
    let outcome = try Program.run(["run", "--output", "r", "--resume"] + change, in: directory)
    #expect(outcome.status == 0 && outcome.json["steps"] as? Int == 60, "\(outcome)")
    let rates = try rates(directory)
    #expect(rates.count == 60)
    #expect(abs(Double(rates[n]) / 5e-5 - next(Double(n))) < 1e-6, "\(n): \(rates)")
    #expect(abs(Double(rates[59]) / 5e-5 - last(Double(n))) < 1e-6, "\(n): \(rates)")
    let line = try #require(outcome.lines.first { $0.hasPrefix("schedule: ") })
    #expect(line.contains("60 steps instead of 40") && line.contains(words), "\(line)")
    #expect(line.contains("learning rate of step \(n + 1): \(before[n]) → \(rates[n])"), "\(line)")
    // It is on record, and the same change of the same run has the same bits: in a job that is queued again too.
    let recorded = try #require(try configuration(directory)["changes"] as? [[String: Any]])
    #expect(recorded.count == 1 && recorded[0]["step"] as? Int == n)
    #expect(recorded[0]["settings"] as? [String] == ["--epochs was 20, is 30"])
    let job = ["run", "--output", "twin", "--resume", "auto", "--workers", "1", "--checkpoint-every", "1"] + change
    let running = try Program.Running(job, in: directory)
    while running.isRunning, !running.output.contains("epoch ") { usleep(500) }
    kill(running.identifier, SIGTERM)
    _ = try running.end()
    let twin = try Program.run(job, in: directory)
    #expect(twin.status == 0 && twin.json["digest"] as? String == outcome.json["digest"] as? String, "\(twin)")
    #expect(try self.rates(directory, "twin") == rates)
    #expect(try Program.run(["diff", "r", "twin"], in: directory).output.isEmpty)
  }

  @Test func aFinishedRunGoesOn() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run, in: directory).status == 0)
    let more = ["run", "--output", "r", "--resume", "--json", "--allow-changed", "epochs,warmup", "--epochs", "4"]
    let nothing = try Program.run(more + ["--schedule", "continue"], in: directory)
    #expect(nothing.status == 64 && nothing.error.contains("fallen to 0") && nothing.error.contains("restart"))
    #expect(directory.exists("r/result.json"))
    let restarted = try Program.run(more + ["--schedule", "restart", "--warmup", "0.5"], in: directory)
    #expect(restarted.json["steps"] as? Int == 8, "\(restarted)")
    #expect(try rates(directory).suffix(4).map { $0 / 5e-5 } == [0, 0.5, 1, 0.5])
  }

  @Test func whatHasNoEffectIsRefused() throws {
    let directory = try TemporaryDirectory()
    let steps = try half(directory).steps
    let resume = ["run", "--output", "r", "--resume", "--json"]
    for (options, words) in [
      (["--schedule", "restart"], "none of them changes"), (["--schedule", "sideways"], "sideways"),
      (
        ["--schedule", "continue", "--epochs", "30", "--warmup", "0.2", "--allow-changed", "epochs,warmup"], "--warmup"
      ),
    ] {
      let outcome = try Program.run(resume + options, in: directory)
      #expect(outcome.status == 64 && outcome.error.contains(words), "\(outcome)")
    }
    let new = try Program.run(Self.run + ["--schedule", "restart", "--output", "s"], in: directory)
    #expect(new.status == 64 && new.error.contains("--resume") && !directory.exists("s"))
    // Another rate is another schedule too.
    let rate = ["--learning-rate", "1e-3", "--allow-changed", "learning-rate"]
    let changed = try Program.run(resume + rate + ["--schedule", "restart"], in: directory)
    #expect(changed.status == 0 && changed.output.contains("learning rate of step \(steps + 1): "), "\(changed)")
    #expect(try rates(directory)[steps] == 0)
    // A file of such a run is one of settings, with a word about its history.
    let anew = try Program.run(["run", "--config", "r/config.json", "--output", "s", "--json"], in: directory)
    #expect(anew.status == 0 && anew.error.contains("changed settings") && anew.json["steps"] as? Int == 40, "\(anew)")
  }
}
