import Files
import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

extension Teams {
  struct AveragedWeightsTests {
    /// Step by step as written here; early steps keep less.
    @Test func followTheWeights() throws {
      let decay = 0.5
      let f = try TrainingFixture(
        tinyConfiguration(), batchSize: 4, workers: 2, samples: 13, averageDecay: decay)
      let average = try #require(f.state.average)
      let count = f.state.model.trainedCount
      func copy(_ x: Parameters) -> [Double] { (0..<count).map { Double(x.origin[$0]) } }
      f.state.restartCopies()
      var expected = copy(f.state.parameters)
      for step in 0..<12 {
        f.train(steps: 1)
        let kept = min(decay, Double(1 + step) / Double(10 + step))
        expected = zip(expected, copy(f.state.parameters)).map { kept * $0 + (1 - kept) * $1 }
      }
      let found = copy(average)
      let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
      #expect(worst < 1e-6, "\(worst)")
      let distance = zip(found, copy(f.state.parameters)).map { abs($0 - $1) }.max() ?? 0
      #expect(distance > 1e-4, "the average is the weights themselves: the test shows nothing")
      // Taken in and out, all is as before.
      let digest = f.state.digest()
      f.state.withAverage { #expect(copy(f.state.parameters) == found && f.state.replicasAreEqual) }
      #expect(f.state.digest() == digest)
    }

    @Test func areTheSameBitsOnAnyLayout() throws {
      func digest(workers: Int, nodes: Int = 1) throws -> String {
        let f = try TrainingFixture(
          tinyConfiguration(), batchSize: 6, workers: workers, samples: 19, averageDecay: 0.9, nodes: nodes)
        f.train(steps: 4)
        return f.state.digest()
      }
      let one = try digest(workers: 1)
      #expect(try digest(workers: 3) == one)
      #expect(try digest(workers: 5, nodes: 2) == one)
      for workers in [[1, 1], [2, 1, 1]] {
        let digests = try ThreadRanks.run(workers.count) { communicator in
          let f = try TrainingFixture(
            tinyConfiguration(), batchSize: 6, workers: workers[communicator.rank], samples: 19, averageDecay: 0.9,
            communicator: communicator)
          f.train(steps: 4)
          f.training.gatherMoments()
          return communicator.rank == 0 ? f.state.digest() : ""
        }
        #expect(digests[0] == one, "workers \(workers)")
      }
    }

    /// Both are measured after each epoch, and the better of all are kept; stopped anywhere and resumed it is the same. The
    /// training itself does not know of the average.
    @Test func theBetterOnesAreKept() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      (c.epochs, c.bestBy, c.tuneThreshold) = (4, .loss, .label)
      let changed = ChangedRunTests()
      let plain = try changed.finish(c, dataset, RunDirectory(files.file("plain")))
      c.optimizer.averageDecay = 0.9
      let directory = RunDirectory(files.file("averaged"))
      let whole = try changed.finish(c, dataset, directory)
      let evaluations = try changed.fields(directory).filter { $0["split"] as? String == "valid" }
      let weights = evaluations.compactMap { $0["weights"] as? String }
      #expect(weights == Array(repeating: ["live", "averaged"], count: 4).flatMap(\.self))
      let losses = try evaluations.map { try EarlyStoppingTests.value(.loss, $0) }
      let best = try #require(losses.indices.last { losses[$0] == losses.max() })
      #expect(whole.weights?.rawValue == weights[best] && whole.bestEpoch == best / 2 + 1)
      #expect(plain.weights == nil && plain.tuned != nil)
      let plainLosses = try changed.fields(RunDirectory(files.file("plain")))
        .filter { $0["split"] as? String == "valid" }.map { try EarlyStoppingTests.value(.loss, $0) }
      #expect(plainLosses == stride(from: 0, to: 8, by: 2).map { losses[$0] })
      // What is kept is what was measured.
      let predictor = try Predictor(run: directory.path, workers: 2)
      predictor.thresholds = predictor.thresholds.map { _ in c.threshold }
      #expect(try predictor.metrics(on: files.path) == whole.test)
      for stop in [2, 6, 11, 12] {
        let stopped = RunDirectory(files.file("stopped\(stop)"))
        guard case .stopped = try changed.resume.run(c, dataset, stopped, workers: 1, steps: stop) else {
          throw TrainerTests.Stopped()
        }
        let result = try changed.finish(c, dataset, stopped, workers: 3, resuming: true)
        #expect(result.digest == whole.digest && result.test == whole.test && result.weights == whole.weights)
        #expect(try changed.resume.records(stopped) == changed.resume.records(directory), "stopped after \(stop)")
        #expect(FileManager.default.contentsEqual(atPath: stopped.best, andPath: directory.best))
      }
    }
  }

  struct TunedThresholdsTests {
    @Test(arguments: ThresholdTuning.allCases) func areKeptWithTheWeights(_ tuning: ThresholdTuning) throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      var c = TrainerTests.settings(dataset)
      let changed = ChangedRunTests()
      let fixed = try changed.finish(c, dataset, RunDirectory(files.file("fixed")))
      c.tuneThreshold = tuning
      let directory = RunDirectory(files.file("tuned"))
      let result = try changed.finish(c, dataset, directory)
      let tuned = try #require(result.tuned)
      #expect(
        result.digest == fixed.digest && result.test == fixed.test && fixed.tuned == nil && tuned.tuning == tuning)
      let predictor = try Predictor(run: directory.path, workers: 1)
      #expect(predictor.hasTunedThresholds)
      let scores = try predictor.evaluator().scores(of: dataset.valid)
      let expected = tuning.thresholds(
        scores: scores, labels: dataset.valid.allLabels, labelCount: 3, fallback: c.threshold)
      #expect(predictor.thresholds == expected && dataset.test.labelNames.map { tuned.thresholds[$0] } == expected)
      #expect(try predictor.metrics(on: files.path) == tuned.test)
      for own in try predictor.predictions(ofFile: files.file("test.safetensors")) {
        let names = zip(own.scores, expected).enumerated().filter { $1.0 > $1.1 }.map {
          dataset.test.labelNames[$0.offset]
        }
        #expect(own.labels == names)
      }
      let without = try Predictor(run: files.file("fixed"), workers: 1)
      #expect(!without.hasTunedThresholds && without.thresholds == [0.25, 0.25, 0.25])
    }

    @Test func ofAnotherModelAreRefused() throws {
      let files = try TemporaryDirectory()
      let path = files.file("weights.safetensors")
      for text in ["[0.5]", "[0.5, 2]", "none"] {
        try SafetensorsWriter(tensors: [], metadata: [KeptThresholds.key: text]).write(to: path)
        #expect(throws: DataError.self) { try KeptThresholds.read(SafetensorsFile(path: path), labels: 2) }
      }
      try SafetensorsWriter(tensors: [], metadata: [KeptThresholds.key: "[0.5, 1]"]).write(to: path)
      #expect(try KeptThresholds.read(SafetensorsFile(path: path), labels: 2) == [0.5, 1])
      try SafetensorsWriter(tensors: []).write(to: path)
      #expect(try KeptThresholds.read(SafetensorsFile(path: path), labels: 2) == nil)
    }
  }
}
