import Foundation
import TestSupport
import Testing

/// `--resume`, signals and locks, as scripts and people meet them.
@Suite struct ResumeTests {
  static let run = ["run", "--output", "r", "--json"] + Program.tiny + Program.tinyData

  /// A run that would take minutes, once its first steps are done.
  func longRun(in directory: TemporaryDirectory, _ more: String...) throws -> Program.Running {
    let running = try Program.Running(
      Self.run + ["--epochs", "100000", "--checkpoint-every", "1"] + more, in: directory)
    while running.isRunning, !directory.exists("r/checkpoints") || !running.output.contains("epoch ") { usleep(2000) }
    return running
  }

  static let signals: [(Int32, [String], Int32)] = [
    (SIGTERM, ["--requeue-exit", "85"], 85), (SIGTERM, [], 0), (SIGUSR1, ["--requeue-exit", "3"], 3), (SIGHUP, [], 0),
    (SIGUSR2, ["--requeue-exit", "85"], 85), (SIGXCPU, [], 0), (SIGQUIT, [], 0),
    (SIGINT, ["--requeue-exit", "85"], 130),
  ]

  @Test(arguments: signals)
  func signalsSaveAndStop(signal: Int32, options: [String], status: Int32) throws {
    let directory = try TemporaryDirectory()
    let running = try Program.Running(Self.run + ["--epochs", "100000"] + options, in: directory)
    while running.isRunning, !running.output.contains("epoch ") { usleep(2000) }
    kill(running.identifier, signal)
    let outcome = try running.end()
    #expect(outcome.status == status && !outcome.signalled, "\(outcome.error)")
    let step = try #require(outcome.json["step"] as? Int)
    #expect(step > 0 && (outcome.json["stopped"] as? String)?.hasPrefix("SIG") == true)
    let checkpoint = try #require(outcome.json["checkpoint"] as? String)
    #expect(directory.exists(checkpoint))
    #expect(try Program.run(["verify", "r"], in: directory).status == 0)
  }

  @Test func stoppedAndResumedIsUninterrupted() throws {
    let directory = try TemporaryDirectory()
    let arguments = Self.run + ["--epochs", "60"]
    let running = try Program.Running(arguments + ["--resume", "auto"], in: directory)
    while running.isRunning, !running.output.contains("epoch ") { usleep(500) }
    kill(running.identifier, SIGTERM)
    #expect(try running.end().status == 0)
    // With no setting, and on other workers.
    let resumed = try Program.run(["run", "--output", "r", "--resume", "--workers", "3", "--json"], in: directory)
    let whole = try Program.run(["run", "--output", "whole", "--json"] + arguments.dropFirst(4), in: directory)
    #expect(resumed.status == 0 && resumed.json["digest"] as? String == whole.json["digest"] as? String)
    #expect(try Program.run(["diff", "r", "whole"], in: directory).output.isEmpty)
    // What has ended is said again, at once.
    let again = try Program.run(arguments + ["--resume", "auto"], in: directory)
    #expect(again.json["digest"] as? String == whole.json["digest"] as? String, "\(again.error)")
  }

  @Test func changesAreRefusedUnlessAllowed() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run, in: directory).status == 0)
    let changes = ["--epochs", "4", "--learning-rate", "1e-3", "--hidden-size", "32"]
    let refused = try Program.run(["run", "--output", "r", "--resume"] + changes, in: directory)
    #expect(refused.status == 64 && refused.output.isEmpty)
    for words in [
      "--epochs was 2, is 4", "--learning-rate was 5e-05, is 0.001", "--hidden-size was 16, is 32",
      "--allow-changed epochs,learning-rate",
    ] {
      #expect(refused.error.contains(words), "\(refused.error)")
    }
    let some = ["run", "--output", "r", "--resume", "--allow-changed", "epochs,learning-rate"]
    #expect(try Program.run(some + changes, in: directory).status == 64)
    let allowed = try Program.run(some + changes.prefix(4) + ["--json"], in: directory)
    #expect(allowed.status == 0 && allowed.json["steps"] as? Int == 8, "\(allowed.error)")
    for (name, status) in [("hidden-size", Int32(64)), ("nonsense", 64)] {
      let outcome = try Program.run(["run", "--resume", "--allow-changed", name], in: directory)
      #expect(outcome.status == status && outcome.error.contains(name))
    }
    let generated = try Program.run(["run", "--output", "r", "--resume", "--samples", "30,9,10"], in: directory)
    #expect(generated.status == 64 && generated.error.contains("--samples"))
  }

  /// Micro-batches decide time and memory, not the result: a run may continue with any number of them.
  @Test func microBatchesChangeFreely() throws {
    let directory = try TemporaryDirectory()
    let whole = try Program.run(Self.run + ["--epochs", "3"], in: directory).json
    let run = ["run", "--output", "m", "--json"] + Self.run.dropFirst(4) + ["--epochs", "3"]
    let first = try Program.run(run + ["--accumulate", "2", "--max-steps", "3"], in: directory)
    #expect(first.output.contains("batch 8 in 2 micro-batches"), "\(first.output)")
    let resume = [
      "run", "--output", "m", "--json", "--resume", "--allow-changed", "max-steps,accumulate", "--max-steps", "6",
    ]
    let second = try Program.run(resume + ["--accumulate", "1"], in: directory)
    #expect(second.status == 0 && !second.output.contains("micro-batches"), "\(second.error)")
    #expect(second.json["steps"] as? Int == whole["steps"] as? Int)
    let own = try Program.run(run + ["--accumulate", "2", "--overwrite"], in: directory)
    #expect(own.json["digest"] as? String == whole["digest"] as? String && own.status == 0, "\(own.error)")
    #expect(try Program.run(["diff", "r", "m"], in: directory).status == 0)
    #expect(try Program.run(["predict", "m", "--explain"], in: directory).output.contains("text"))
    for n in ["0", "3"] {
      let outcome = try Program.run(run + ["--accumulate", n, "--overwrite"], in: directory)
      #expect(
        outcome.status == 64 && outcome.error.contains("micro-batches (--accumulate) must be between 1 and 2"),
        "\(outcome.error)")
    }
  }

  @Test func otherDataAreRefused() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(["generate", "--output", "d"] + Program.tinyData, in: directory).status == 0)
    let run = ["run", "--data", "d", "--output", "r"] + Program.tiny
    #expect(try Program.run(run, in: directory).status == 0)
    // Elsewhere is no difference.
    #expect(rename(directory.file("d"), directory.file("e")) == 0)
    let moved = try Program.run(["run", "--output", "r", "--resume", "--data", "e"], in: directory)
    #expect(moved.status == 0, "\(moved.error)")
    let lost = try Program.run(
      ["run", "--output", "r2", "--resume", "auto", "--data", "d"] + Program.tiny, in: directory)
    #expect(lost.status == 65 && !directory.exists("r2"))
    let other = try Program.run(["generate", "--output", "e", "--seed", "7"] + Program.tinyData, in: directory)
    #expect(other.status == 0)
    let refused = try Program.run(["run", "--output", "r", "--resume", "--data", "e"], in: directory)
    #expect(refused.status == 64 && refused.error.contains("train.safetensors"), "\(refused.error)")
    let verified = try Program.run(["verify", "r", "--data", "e"], in: directory)
    #expect(verified.status == 1 && verified.output.contains("has other bytes"), "\(verified.output)")
    let allowed = ["run", "--output", "r", "--resume", "--data", "e", "--allow-changed", "data"]
    #expect(try Program.run(allowed, in: directory).status == 0)
  }

  /// Data that may change are still of the shape that the model has.
  @Test(arguments: ["--features 9,9,9", "--steps 9", "--labels 2"]) func dataOfAnotherShape(_ shape: String) throws {
    let directory = try TemporaryDirectory()
    let words = shape.split(separator: " ").map(String.init)
    for (name, more) in [("d", []), ("e", words)] {
      let made = try Program.run(["generate", "--output", name] + Program.tinyData + more, in: directory)
      #expect(made.status == 0, "\(made)")
    }
    let run = ["run", "--data", "d", "--output", "r"] + Program.tiny
    #expect(try Program.run(run, in: directory).status == 0)
    let refused = try Program.run(
      ["run", "--data", "e", "--output", "r", "--resume", "--allow-changed", "data,epochs", "--epochs", "9"],
      in: directory)
    #expect(
      refused.status == 65 && refused.error.contains("of the shape that the run was trained on")
        || refused.status == 65 && refused.error.contains("the labels that the run was trained on"), "\(refused)")
    #expect(try Program.run(["digest", "r"], in: directory).status == 0)
  }

  /// A requeued job's run may have ended before, and its data may be gone.
  @Test func aFinishedRunSaysItsResultWithoutItsData() throws {
    let directory = try TemporaryDirectory()
    let data = ["generate", "--output", "d"] + Program.tinyData
    #expect(try Program.run(data, in: directory).status == 0)
    let run = ["run", "--data", "d", "--output", "r", "--json"] + Program.tiny
    let first = try Program.run(run, in: directory)
    try FileManager.default.moveItem(atPath: directory.file("d"), toPath: directory.file("e"))
    let resume = ["run", "--output", "r", "--resume", "auto", "--json"]
    let again = try Program.run(resume, in: directory)
    #expect(again.status == 0 && again.json["digest"] as? String == first.json["digest"] as? String, "\(again.error)")
    // With something to do it needs them.
    let more = try Program.run(resume + ["--epochs", "3", "--allow-changed", "epochs"], in: directory)
    #expect(more.status == 65 && more.error.contains("/d"), "\(more.error)")
  }

  @Test func fewerEpochsThanWereBegunAreRefused() throws {
    let directory = try TemporaryDirectory()
    #expect(try Program.run(Self.run, in: directory).status == 0)
    let resume = ["run", "--output", "r", "--resume", "--allow-changed", "epochs,max-steps"]
    let fewer = try Program.run(resume + ["--epochs", "1"], in: directory)
    #expect(fewer.status == 64 && fewer.error.contains("has begun epoch 2, more than --epochs 1: give at least 2"))
    let beyond = try Program.run(resume + ["--max-steps", "1000"], in: directory)
    #expect(beyond.status == 64 && beyond.error.contains("beyond the 2 epochs of"), "\(beyond.error)")
  }

  @Test(arguments: ["--output", "--data", "--config", "--init"]) func anEmptyPathIsNamed(option: String) throws {
    let outcome = try Program.run(["run", option, ""], in: try TemporaryDirectory())
    #expect(outcome.status == 64 && outcome.error.contains("\(option) is empty"), "\(outcome.error)")
  }

  @Test func nothingToResume() throws {
    let directory = try TemporaryDirectory()
    let none = try Program.run(["run", "--output", "r", "--resume"], in: directory)
    #expect(none.status == 65 && none.error.contains("r/checkpoints") && none.error.contains("--resume auto"))
    #expect(try directory.names() == [])
    #expect(try Program.run(Self.run + ["--resume", "auto"], in: directory).status == 0)
  }

  @Test func anUnfinishedRunIsNotReplaced() throws {
    let directory = try TemporaryDirectory()
    let running = try longRun(in: directory)
    let second = try Program.run(Self.run + ["--overwrite"], in: directory)
    #expect(second.status == 75 && second.error.contains("process \(running.identifier)"), "\(second.error)")
    // The lock dies with its holder.
    kill(running.identifier, SIGKILL)
    _ = try running.end()
    let refused = try Program.run(Self.run, in: directory)
    #expect(refused.status == 73 && refused.error.contains("--resume") && refused.error.contains("--overwrite"))
    #expect(try Program.run(Self.run + ["--overwrite"], in: directory).status == 0)
  }

  @Test func aDamagedCheckpointIsPassedOver() throws {
    let directory = try TemporaryDirectory()
    let running = try longRun(in: directory)
    kill(running.identifier, SIGTERM)
    let stopped = try running.end()
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.file("r/checkpoints")).sorted()
    #expect(names.count == 2, "\(names) \(stopped.error)")
    let newest = directory.file("r/checkpoints/" + names[1])
    var bytes = try Data(contentsOf: URL(fileURLWithPath: newest))
    bytes[bytes.count * 2 / 3] ^= 1
    try bytes.write(to: URL(fileURLWithPath: newest))
    let verified = try Program.run(["verify", "r"], in: directory)
    #expect(verified.status == 1 && verified.lines.count { $0.hasSuffix(": good") } == verified.lines.count - 1)
    let resumed = try longRun(in: directory, "--resume")
    kill(resumed.identifier, SIGTERM)
    let outcome = try resumed.end()
    #expect(outcome.status == 0)
    #expect(outcome.error.contains(names[1]) && outcome.error.contains("checksum"), "\(outcome.error)")
  }
}
