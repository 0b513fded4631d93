import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model

extension Teams {
  struct TrainerTests {
    static func dataset(_ directory: TemporaryDirectory) throws -> Dataset {
      var settings = SyntheticDataset.Settings()
      (settings.train, settings.valid, settings.test) = (14, 5, 7)
      settings.steps = [6, 4, 5]
      settings.features = [7, 6, 8]
      settings.labels = 3
      _ = try SyntheticDataset.write(settings, to: directory.path)
      return try Dataset(directory: directory.path)
    }

    static func settings(_ dataset: Dataset) -> RunConfiguration {
      var c = RunConfiguration(for: DatasetShape(of: dataset.train))
      c.model.hiddenSize = 8
      c.model.heads = 2
      c.model.feedForwardSize = 8
      c.model.latentSize = 4
      c.model.queueSize = 150
      for m in c.model.modalities.indices { c.model.modalities[m].layers = m % 2 }
      c.batchSize = 4
      c.epochs = 3
      c.optimizer.learningRate = 1e-2
      return c
    }

    func run(_ c: RunConfiguration, _ dataset: Dataset, _ output: String, workers: Int) throws -> Trainer.Result {
      let trainer = try Self.trainer(c, dataset, RunDirectory(output), workers: workers)
      guard case .finished(let result) = try trainer.run(report: { _ in }) else { throw Stopped() }
      return result
    }

    struct Stopped: Error {}

    /// A trainer in a directory that is made for it.
    static func trainer(
      _ c: RunConfiguration, _ dataset: Dataset, _ directory: RunDirectory, workers: Int,
      from checkpoint: Checkpoint? = nil, options: Trainer.Options = .init()
    ) throws -> Trainer {
      try directory.create()
      return try Trainer(
        c, dataset: dataset, data: DatasetFingerprint(of: dataset), directory: directory, team: makeTeam(workers),
        from: checkpoint, options: options)
    }

    @Test func sameBitsForAnyNumberOfWorkers() throws {
      let directory = try TemporaryDirectory()
      let dataset = try Self.dataset(directory)
      let c = Self.settings(dataset)
      let one = try run(c, dataset, directory.file("one"), workers: 1)
      for workers in [2, 3, 4, 7, 16] {
        let more = try run(c, dataset, directory.file("more"), workers: workers)
        #expect(more.digest == one.digest && more.test == one.test && more.valid == one.valid, "\(workers) workers")
        let (a, b) = (directory.file("one/best.safetensors"), directory.file("more/best.safetensors"))
        #expect(FileManager.default.contentsEqual(atPath: a, andPath: b), "\(workers) workers")
        let settings = try ["one", "more"].map { try RunDirectory(directory.file($0)).readConfiguration() }
        #expect(settings[0] == settings[1], "\(workers) workers")
      }
      var other = c
      other.seed = 2
      #expect(try run(other, dataset, directory.file("other"), workers: 1).digest != one.digest)
    }

    @Test func writesWhatItSays() throws {
      let directory = try TemporaryDirectory()
      let dataset = try Self.dataset(directory)
      let output = RunDirectory(directory.file("run"))
      var (steps, evaluations) = (0, [String]())
      let trainer = try Self.trainer(Self.settings(dataset), dataset, output, workers: 2)
      let outcome = try trainer.run {
        switch $0 {
        case .skipped: Issue.record("a step was left out")
        case .evaluating(_, let done, let count): #expect(done > 0 && done <= count)
        case .step(let record):
          steps += 1
          #expect(record.step == steps && record.epoch == (steps - 1) / 3 + 1 && record.loss.isFinite)
        case .evaluation(let record): evaluations.append(record.split)
        }
      }
      guard case .finished(let result) = outcome else { throw Stopped() }
      // 14 samples are 3 batches of 4; 2 samples an epoch wait for the next one's order.
      #expect(steps == 9 && result.steps == 9 && result.workers == 2)
      #expect(evaluations == ["valid", "valid", "valid", "test"])
      #expect(trainer.configuration.optimizer.totalSteps == 9)
      #expect(try output.readConfiguration() == trainer.configuration)
      let lines = try String(contentsOfFile: output.metrics, encoding: .utf8).split(separator: "\n")
      let events = try lines.map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])["event"] as? String
      }
      #expect(events.count { $0 == "step" } == 9 && events.count { $0 == "evaluation" } == 4)

      let state = try TrainingState(
        CARATModel(trainer.configuration.model), placement: Placement(.current(), workers: 1))
      let checkpoint = try output.openCheckpoint()
      try checkpoint.load(into: state)
      #expect(state.digest() == result.digest && state.step == 9 && checkpoint.digest() == result.digest)
    }

    /// A split that is not a whole number of batches: every sample once, in order, whatever the batch.
    @Test func evaluatesPartialBatches() throws {
      let f = try TrainingFixture(tinyConfiguration(), batchSize: 4, workers: 2, samples: 11, deviation: 0.3)
      let scores = try Evaluator(f.training).scores(of: f.source)
      let g = try TrainingFixture(
        tinyConfiguration(), batchSize: 11, workers: 1, samples: 11, deviation: 0.3)
      #expect(scores.count == 33)
      #expect(try relativeDifference(scores, Evaluator(g.training).scores(of: g.source).map(Double.init)) < 1e-6)
    }

    /// Scores that are no numbers are no scores: the epoch is saved, and the sample named.
    @Test func anEvaluationThatIsNotFiniteEndsTheRun() throws {
      let files = try TemporaryDirectory()
      try FileManager.default.createDirectory(atPath: files.file("data"), withIntermediateDirectories: true)
      func write(_ split: String, _ spoil: (inout SampleFile) -> Void = { _ in }) throws {
        var file = SampleFile()
        spoil(&file)
        try file.write(to: files.file("data/\(split).safetensors"))
      }
      try write("train")
      try write("test")
      // The sum of such features is infinite.
      try write("valid") { for i in 12..<18 { $0.features[0].values[i] = 3e38 } }
      let dataset = try Dataset(directory: files.file("data"))
      var c = Self.settings(dataset)
      (c.batchSize, c.epochs) = (2, 2)
      let directory = RunDirectory(files.file("run"))
      let trainer = try Self.trainer(c, dataset, directory, workers: 2)
      let error = #expect(throws: NonFiniteScores.self) { _ = try trainer.run { _ in } }
      #expect(error?.sample == 2 && error?.file == dataset.valid.path && error?.parameter == nil)
      #expect(error?.description.contains("the scores of sample 2 are not finite") == true)
      #expect(try directory.openCheckpoint().record.step == 2)
      // On better data it continues from there.
      try write("valid")
      let mended = try Dataset(directory: files.file("data"))
      let resumed = try Self.trainer(c, mended, directory, workers: 1, from: directory.openCheckpoint())
      guard case .finished(let result) = try resumed.run(report: { _ in }) else { throw Stopped() }
      #expect(result.steps == 4)
    }

    @Test func weightsThatAreNotFiniteAreNamed() throws {
      let f = try TrainingFixture(tinyConfiguration(), batchSize: 4, workers: 2, samples: 4, deviation: 0.3)
      let parameter = f.state.model.layout.parameters[3]
      f.state.parameters[parameter][0, 0] = .nan
      let error = #expect(throws: NonFiniteScores.self) { _ = try Evaluator(f.training).scores(of: f.source) }
      #expect(error?.parameter == parameter.name && error?.description.contains(parameter.name) == true)
    }
  }
}
