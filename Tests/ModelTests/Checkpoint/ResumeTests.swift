import Files
import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model

extension Teams {
  /// A run that stops anywhere and continues elsewhere comes to the end of the run that never stopped.
  struct ResumeTests {
    /// Runs until `steps` steps have been taken, all if nil; the outcome and what was reported.
    func run(
      _ c: RunConfiguration, _ dataset: Dataset, _ directory: RunDirectory, workers: Int, steps: Int? = nil,
      resuming: Bool = false, options: Trainer.Options = .init()
    ) throws -> Trainer.Outcome {
      let checkpoint = resuming ? try directory.openCheckpoint() : nil
      let trainer = try TrainerTests.trainer(
        c, dataset, directory, workers: workers, from: checkpoint, options: options)
      var last = checkpoint?.record.step ?? 0
      return try trainer.run(shouldStop: { steps.map { last >= $0 } ?? false }) {
        if case .step(let record) = $0 { last = record.step }
      }
    }

    /// All of the metrics that does not depend on the clock.
    func records(_ directory: RunDirectory) throws -> [String] {
      try String(contentsOfFile: directory.metrics, encoding: .utf8).split(separator: "\n").compactMap {
        var record = try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        if ["start", "placement", "phases"].contains(record["event"] as? String) { return nil }
        (record["samples_per_second"], record["time"]) = (nil, nil)
        return String(decoding: try JSONSerialization.data(withJSONObject: record, options: .sortedKeys), as: UTF8.self)
      }
    }

    @Test(arguments: ModelConfiguration.QueueKeys.allCases)
    func fromEveryStepOnOtherWorkers(_ keys: ModelConfiguration.QueueKeys) throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      c.model.queueKeys = keys
      var options = Trainer.Options()
      options.logsDigests = true
      let whole = RunDirectory(files.file("whole"))
      guard case .finished(let expected) = try run(c, dataset, whole, workers: 2, options: options) else {
        throw TrainerTests.Stopped()
      }
      // 3 epochs of 3 steps: stops at the start, in epochs, and at their ends before the evaluation.
      for stop in 0...9 {
        let directory = RunDirectory(files.file("stopped\(stop)"))
        guard
          case .stopped(let step, let path) = try run(
            c, dataset, directory, workers: stop % 4 + 1, steps: stop, options: options)
        else { throw TrainerTests.Stopped() }
        #expect(step == stop && path == directory.checkpoints.file(stop) && directory.isUnfinished)
        guard case .finished(let result) = try run(c, dataset, directory, workers: (stop + 2) % 4 + 1, resuming: true)
        else { throw TrainerTests.Stopped() }
        #expect(result.digest == expected.digest && result.test == expected.test, "stopped after \(stop)")
        #expect(try records(directory) == records(whole), "stopped after \(stop)")
        #expect(FileManager.default.contentsEqual(atPath: directory.digests, andPath: whole.digests))
        #expect(FileManager.default.contentsEqual(atPath: directory.best, andPath: whole.best))
        #expect(!directory.isUnfinished)
      }
    }

    @Test func aFinishedRunResumedSaysTheSame() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      let directory = RunDirectory(files.file("run"))
      guard case .finished(let first) = try run(c, dataset, directory, workers: 1),
        case .finished(let second) = try run(c, dataset, directory, workers: 2, resuming: true)
      else { throw TrainerTests.Stopped() }
      #expect(first.digest == second.digest && first.test == second.test && first.bestEpoch == second.bestEpoch)
    }

    @Test func checkpointsComeAsOftenAsAskedAndAsManyStay() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let directory = RunDirectory(files.file("run"))
      var options = Trainer.Options()
      (options.interval, options.keep) = (.steps(2), 3)
      guard
        case .stopped = try run(
          TrainerTests.settings(dataset), dataset, directory, workers: 1, steps: 7, options: options)
      else { throw TrainerTests.Stopped() }
      // A checkpoint that is due while one is being written waits for it, so only the number is certain.
      let kept = directory.checkpoints.files()
      #expect(kept.count <= 3 && kept.first == directory.checkpoints.file(7), "\(kept)")
      #expect(try kept.allSatisfy { try Checkpoint(path: $0).path == $0 })
    }

    @Test func damagedCheckpointsArePassedOver() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      let directory = RunDirectory(files.file("run"))
      _ = try run(c, dataset, directory, workers: 1, steps: 4)
      _ = try run(c, dataset, directory, workers: 1, steps: 7, resuming: true)
      let newest = directory.checkpoints.file(7)
      var bytes = try Data(contentsOf: URL(fileURLWithPath: newest))
      bytes[bytes.count / 2] ^= 4
      try bytes.write(to: URL(fileURLWithPath: newest))
      var skipped: [DataError] = []
      let found = try directory.checkpoints.newest { skipped.append($0) }
      #expect(found?.record.step == 4 && skipped.map(\.file) == [newest])
      try Data().write(to: URL(fileURLWithPath: directory.checkpoints.file(4)))
      #expect(throws: DataError.self) { _ = try directory.checkpoints.newest() }
      #expect(try CheckpointFolder(files.file("none")).newest() == nil)
    }

    @Test func aStepThatIsNotFiniteChangesNothing() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      c.epochs = 200
      // Steps of such a size overflow soon.
      (c.optimizer.learningRate, c.optimizer.warmup) = (999, 0)
      c.model.temperature = 1e-3
      let directory = RunDirectory(files.file("run"))
      let error = #expect(throws: Diverged.self) { _ = try run(c, dataset, directory, workers: 2) }
      let diverged = try #require(error)
      let checkpoint = try directory.openCheckpoint()
      #expect(checkpoint.path == diverged.checkpoint && checkpoint.record.step == diverged.step - 1)
      let state = try TrainingState(CARATModel(c.model), placement: Placement(.current(), workers: 1))
      try checkpoint.load(into: state)
      #expect(state.model.layout.parameters.allSatisfy { state.parameters[$0].isFinite })
      // The same on other workers, in the same place.
      let again = #expect(throws: Diverged.self) {
        _ = try run(c, dataset, RunDirectory(files.file("again")), workers: 3)
      }
      #expect(again?.found == diverged.found && again?.step == diverged.step)
      // Left out, such steps do not end a run at once, and are recorded.
      c.onNonFinite = .skip
      let skipping = RunDirectory(files.file("skipping"))
      _ = try? run(c, dataset, skipping, workers: 2)
      #expect(try records(skipping).contains { $0.contains("nonfinite") && $0.contains("\"skipped\":true") })
    }
  }
}
