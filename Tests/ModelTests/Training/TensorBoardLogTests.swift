import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model
@testable import TensorBoard

extension Teams {
  struct TensorBoardLogTests {
    /// Trains on ranks that are threads, of one worker each, until `steps` steps have been taken, all if nil; the digest at
    /// the end.
    @discardableResult
    func run(
      _ c: RunConfiguration, _ dataset: Dataset, _ directory: RunDirectory, ranks: Int = 1, steps: Int? = nil,
      resuming: Bool = false, logs: Bool = true
    ) throws -> String? {
      try directory.create()
      let outcomes = try ThreadRanks.run(ranks) { communicator -> String? in
        let team = WorkerTeam(placement: Placement(.current(), workers: 1), communicator: communicator)
        var options = Trainer.Options()
        options.logsTensorBoard = logs && !resuming
        let checkpoint = resuming ? try directory.openCheckpoint() : nil
        let trainer = try Trainer(
          c, dataset: dataset, data: DatasetFingerprint(of: dataset), directory: directory, team: team,
          from: checkpoint, options: options)
        var last = checkpoint?.record.step ?? 0
        let outcome = try trainer.run(shouldStop: { steps.map { last >= $0 } ?? false }) {
          if case .step(let record) = $0 { last = record.step }
        }
        guard case .finished(let result) = outcome else { return nil }
        return result.digest
      }
      return outcomes[0]
    }

    /// A part's events in all its files, without what depends on the clock, and without what begins a file.
    func events(_ directory: RunDirectory, _ part: EventFolder.Part) throws -> [Data] {
      let files = directory.events.files.filter { $0.contains("/\(part.rawValue)/") }
      return try files.flatMap { file -> [Data] in
        let (contents, bytes) = RecordFraming.records(in: try Data(contentsOf: URL(fileURLWithPath: file)))
        #expect(try bytes == Data(contentsOf: URL(fileURLWithPath: file)).count)
        return contents.compactMap { content -> Data? in
          let startsSession = content.suffix(4) == Data([0x3A, 2, 8, 1])
          if content.range(of: Data("brain.Event:2".utf8)) != nil || startsSession { return nil }
          let isStep = content.range(of: Data("samples_per_second".utf8)) != nil
          return Data(content.dropFirst(9).dropLast(isStep ? 4 : 0))
        }
      }
    }

    @Test func stoppedAnywhereItComesToTheSameEvents() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      let whole = RunDirectory(files.file("whole"))
      let digest = try run(c, dataset, whole)
      let without = RunDirectory(files.file("without"))
      #expect(try digest != nil && digest == run(c, dataset, without, logs: false))
      #expect(!FileManager.default.fileExists(atPath: without.events.path))
      // A step's scalars, and distributions at each end of an epoch.
      #expect(try events(whole, .train).count == 9 + 3)
      #expect(try events(whole, .valid).count == 3 && events(whole, .test).count == 1)
      for stop in 0...9 {
        let directory = RunDirectory(files.file("stopped\(stop)"))
        #expect(try run(c, dataset, directory, steps: stop) == nil)
        #expect(try run(c, dataset, directory, resuming: true) == digest)
        for part in [EventFolder.Part.train, .valid, .test] {
          #expect(try events(directory, part) == events(whole, part), "\(part) stopped after \(stop)")
        }
      }
    }

    @Test func ranksWriteWhatOneProcessWrites() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      let one = RunDirectory(files.file("one"))
      let digest = try run(c, dataset, one)
      for ranks in [2, 3] {
        let more = RunDirectory(files.file("\(ranks)"))
        #expect(try run(c, dataset, more, ranks: ranks) == digest)
        #expect(more.events.files.count == 4)
        for part in [EventFolder.Part.train, .valid, .test] {
          #expect(try events(more, part) == events(one, part), "\(part) of \(ranks) ranks")
        }
      }
    }

    @Test func gradientNormsAreThoseOfTheGradients() throws {
      for ranks in [1, 3] {
        _ = try ThreadRanks.run(ranks) { communicator in
          let f = try TrainingFixture(tinyConfiguration(), batchSize: 6, workers: 1, communicator: communicator)
          f.train(steps: 1)
          f.training.gatherGradients()
          let model = f.state.model
          func norm(_ tensors: [Parameter]) -> Double {
            tensors.flatMap { f.training.reduction.gradient[$0].elements }.reduce(0) { $0 + Double($1) * Double($1) }
              .squareRoot()
          }
          #expect(abs(f.training.gradientNorm / norm(Array(model.trained)) - 1) < 1e-6)
          let parts = f.training.gradientNorms
          #expect(parts.map(\.part) == model.configuration.modalities.map(\.name) + ["heads"])
          for (part, found) in parts {
            #expect(abs(found / norm(model.trained.filter { model.part(of: $0) == part }) - 1) < 1e-6, "\(part)")
          }
        }
      }
    }

    @Test func everyTrainedTensorIsInOneGroup() {
      var c = tinyConfiguration()
      c.modalities[1].alignedSteps = 3
      for layers in [[1, 2, 0], [12, 0, 1]] {
        for (m, count) in layers.enumerated() { c.modalities[m].layers = count }
        let model = CARATModel(c)
        let groups = ParameterGroup.all(of: model)
        #expect(groups.flatMap(\.tensors).map(\.name).sorted() == model.trained.map(\.name).sorted())
        #expect(Set(groups.map(\.name)).count == groups.count)
        // A vector's values are of another size than a matrix's.
        #expect(groups.allSatisfy { Set($0.tensors.map { $0.shape.count == 1 }).count == 1 })
        let names = c.modalities.map(\.name)
        #expect(groups.contains { $0.name == "\(names[1])/alignment" })
        #expect(groups.count { $0.name.contains("/layer_") } == layers.reduce(0, +))
      }
    }
  }
}
