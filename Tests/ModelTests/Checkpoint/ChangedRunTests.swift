import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model

extension Teams {
  /// Runs that end after a number of steps, that continue with other settings, or without their logs.
  struct ChangedRunTests {
    let resume = ResumeTests()

    func finish(
      _ c: RunConfiguration, _ dataset: Dataset, _ directory: RunDirectory, workers: Int = 2, resuming: Bool = false,
      options: Trainer.Options = .init()
    ) throws -> Trainer.Result {
      guard
        case .finished(let result) = try resume.run(
          c, dataset, directory, workers: workers, resuming: resuming, options: options)
      else { throw TrainerTests.Stopped() }
      return result
    }

    func fields(_ directory: RunDirectory) throws -> [[String: Any]] {
      try resume.records(directory).map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
    }

    func steps(_ directory: RunDirectory) throws -> [Int] {
      try fields(directory).filter { $0["event"] as? String == "step" }.compactMap { $0["step"] as? Int }
    }

    // MARK: Maximum steps

    /// Epochs have 3 steps: 5 cut the second, 3 end the first, 9 are all.
    @Test(arguments: [1, 3, 5, 9, 100]) func aLimitedRunEndsAfterItsSteps(_ limit: Int) throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      c.maxSteps = limit
      let total = min(limit, 9)
      let directory = RunDirectory(files.file("run"))
      let whole = try finish(c, dataset, directory)
      #expect(whole.steps == total && whole.maxSteps == limit)
      #expect(try directory.readConfiguration().optimizer.totalSteps == total)
      let evaluations = try fields(directory).filter { $0["split"] as? String == "valid" }.compactMap {
        $0["step"] as? Int
      }
      #expect(evaluations == Array(stride(from: 3, through: total, by: 3)) + (total % 3 == 0 ? [] : [total]))
      #expect(try steps(directory) == Array(1...total))
      // The schedule has that length.
      let rates = try fields(directory).compactMap { ($0["learning_rate"] as? Double).map { Float($0) } }
      var expected = c.optimizer
      expected.totalSteps = total
      #expect(rates == (0..<total).map(expected.rate))
      // Stopped anywhere and resumed it is the same.
      for stop in 0...total {
        let stopped = RunDirectory(files.file("stopped\(stop)"))
        guard case .stopped = try resume.run(c, dataset, stopped, workers: 1, steps: stop) else {
          throw TrainerTests.Stopped()
        }
        let result = try finish(c, dataset, stopped, workers: 3, resuming: true)
        #expect(result.digest == whole.digest && result.test == whole.test, "stopped after \(stop)")
        #expect(try resume.records(stopped) == resume.records(directory), "stopped after \(stop)")
      }
      // Resumed at its end it says the same.
      #expect(try finish(c, dataset, directory, resuming: true).digest == whole.digest)
      #expect(try steps(directory) == Array(1...total))
    }

    @Test func aLimitThatIsRaisedLetsACutEpochGoOn() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      c.maxSteps = 5
      let (directory, twin) = (RunDirectory(files.file("run")), RunDirectory(files.file("twin")))
      for run in [directory, twin] { _ = try finish(c, dataset, run, workers: run.path == twin.path ? 1 : 2) }
      #expect(!directory.isUnfinished)
      c.maxSteps = 8
      let result = try finish(c, dataset, directory, resuming: true)
      #expect(result.steps == 8)
      #expect(try steps(directory) == Array(1...8))
      let evaluations = try fields(directory).filter { $0["split"] as? String == "valid" }
      #expect(evaluations.compactMap { $0["step"] as? Int } == [3, 5, 6, 8])
      #expect(evaluations.compactMap { $0["epoch"] as? Int } == [1, 2, 2, 3])
      // The same change of the same run has the same bits, on other workers and stopped in between too.
      for stop in [6, 7] { _ = try resume.run(c, dataset, twin, workers: 3, steps: stop, resuming: true) }
      #expect(try twin.openCheckpoint().record.step == 7 && twin.isUnfinished)
      #expect(try finish(c, dataset, twin, resuming: true).digest == result.digest)
      #expect(try resume.records(twin) == resume.records(directory))
    }

    // MARK: Logs

    @Test(arguments: ["lost", "empty", "cut", "of a later checkpoint"])
    func aCheckpointIsEnoughWithoutItsLogs(_ what: String) throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      var options = Trainer.Options()
      (options.logsDigests, options.keep) = (true, 9)
      let whole = try finish(c, dataset, RunDirectory(files.file("whole")), options: options)
      let directory = RunDirectory(files.file("run"))
      for stop in [4, 5] {
        _ = try resume.run(c, dataset, directory, workers: 1, steps: stop, resuming: stop > 4, options: options)
      }
      var expected = Array(6...9)
      for file in [directory.metrics, directory.digests] {
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let lines = text.split(separator: "\n")
        switch what {
        case "lost": try FileManager.default.removeItem(atPath: file)
        case "empty": try Data().write(to: URL(fileURLWithPath: file))
        case "cut":
          // Within the record of the last step.
          let end = try #require(lines.firstIndex { $0.contains("\"step\":5") })
          let left = lines[..<end].map { $0 + "\n" }.joined() + lines[end].prefix(9)
          try Data(left.utf8).write(to: URL(fileURLWithPath: file))
          expected = Array(1...4) + Array(6...9)
        default:
          // A log that began at step 5, and has more bytes than the checkpoint of step 4 counts on.
          let last = String(try #require(lines.last { $0.contains("\"step\":5") })) + "\n"
          try Data(String(repeating: last, count: 20).utf8).write(to: URL(fileURLWithPath: file))
          try? FileManager.default.removeItem(atPath: directory.checkpoints.file(5))
          expected = Array(5...9)
        }
      }
      let result = try finish(c, dataset, directory, resuming: true, options: options)
      #expect(result.digest == whole.digest && result.test == whole.test)
      #expect(try steps(directory) == expected, "\(what)")
      let digests = try String(contentsOfFile: directory.digests, encoding: .utf8).split(separator: "\n")
      #expect(digests.count == expected.count)
      // What was written since is a log as any other.
      #expect(try finish(c, dataset, directory, resuming: true, options: options).digest == whole.digest)
      #expect(try steps(directory) == expected)
    }

    @Test func checkpointsAloneAreEnough() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      let (directory, copy) = (RunDirectory(files.file("run")), RunDirectory(files.file("copy")))
      _ = try resume.run(c, dataset, directory, workers: 1, steps: 5)
      let whole = try finish(c, dataset, RunDirectory(files.file("whole")))
      try copy.create()
      try FileManager.default.copyItem(atPath: directory.checkpoints.path, toPath: copy.checkpoints.path)
      #expect(try finish(c, dataset, copy, resuming: true).digest == whole.digest)
      #expect(FileManager.default.contentsEqual(atPath: copy.best, andPath: files.file("whole/best.safetensors")))
      #expect(try copy.readConfiguration().epochs == c.epochs)
      #expect(try steps(copy) == Array(6...9))
    }

    // MARK: Damage, and steps that are not finite

    @Test func checkpointsThatWerePassedOverAreSetAside() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      let directory = RunDirectory(files.file("run"))
      var options = Trainer.Options()
      options.keep = 2
      for stop in [4, 7] {
        _ = try resume.run(c, dataset, directory, workers: 1, steps: stop, resuming: stop > 4, options: options)
      }
      let newest = directory.checkpoints.file(7)
      try Data("damaged".utf8).write(to: URL(fileURLWithPath: newest))
      _ = try resume.run(c, dataset, directory, workers: 1, steps: 5, resuming: true, options: options)
      // It takes the place of neither of the two that are kept, and can be looked at.
      #expect(directory.checkpoints.files() == [5, 4].map(directory.checkpoints.file))
      #expect(FileManager.default.contents(atPath: newest + ".damaged") == Data("damaged".utf8))
      // A new run of the directory leaves nothing of it.
      _ = try resume.run(c, dataset, directory, workers: 1, steps: 1)
      #expect(!FileManager.default.fileExists(atPath: newest + ".damaged"))
    }

    @Test func aFinishedRunThatGoesOnIsUnfinished() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      let directory = RunDirectory(files.file("run"))
      _ = try finish(c, dataset, directory)
      #expect(!directory.isUnfinished)
      c.epochs = 4
      _ = try resume.run(c, dataset, directory, workers: 1, steps: 10, resuming: true)
      #expect(directory.isUnfinished && !FileManager.default.fileExists(atPath: directory.result))
    }

    /// Weights so large that every step overflows.
    func overflowing(_ dataset: Dataset) -> RunConfiguration {
      var c = TrainerTests.settings(dataset)
      c.epochs = 60
      c.onNonFinite = .skip
      c.model.weights[.contrastive] = .greatestFiniteMagnitude
      c.model.temperature = 1e-30
      return c
    }

    @Test func skipsInARowAreCountedThroughAResumption() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = overflowing(dataset)
      let whole = RunDirectory(files.file("whole"))
      let error = #expect(throws: Diverged.self) { _ = try resume.run(c, dataset, whole, workers: 1) }
      #expect(error?.step == RunConfiguration.maximumSkips + 1)
      let directory = RunDirectory(files.file("run"))
      _ = try resume.run(c, dataset, directory, workers: 1, steps: 40)
      #expect(try directory.openCheckpoint().record.position.skips == 40)
      let resumed = #expect(throws: Diverged.self) {
        _ = try resume.run(c, dataset, directory, workers: 2, resuming: true)
      }
      #expect(resumed?.step == error?.step)
      #expect(try directory.openCheckpoint().record.position.skips == RunConfiguration.maximumSkips)
    }

    /// Its checkpoint is one to continue from, with skip.
    @Test func aRunThatStopsAtItsFirstStepCanGoOn() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = overflowing(dataset)
      c.onNonFinite = .stop
      let directory = RunDirectory(files.file("run"))
      let error = #expect(throws: Diverged.self) { _ = try resume.run(c, dataset, directory, workers: 1) }
      #expect(error?.step == 1)
      let record = try directory.openCheckpoint().record
      #expect(record.step == 0 && record.position.skips == 0 && record.configuration.onNonFinite == .stop)
      c.onNonFinite = .skip
      _ = try resume.run(c, dataset, directory, workers: 1, steps: 2, resuming: true)
      #expect(try directory.openCheckpoint().record.position.skips == 2)
      #expect(try directory.readConfiguration().onNonFinite == .skip)
    }
  }
}
