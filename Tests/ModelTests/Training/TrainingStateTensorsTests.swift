import Files
import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model

extension Teams {
  struct TrainingStateTensorsTests {
    func fresh(_ c: ModelConfiguration) throws -> TrainingState {
      try TrainingState(CARATModel(c), placement: Placement(.current(), workers: 1))
    }

    @Test(arguments: [0, 40], ModelConfiguration.QueueKeys.allCases)
    func whatIsWrittenIsLoaded(_ queue: Int, _ keys: ModelConfiguration.QueueKeys) throws {
      let directory = try TemporaryDirectory()
      var c = tinyConfiguration(queue: queue)
      c.queueKeys = keys
      let f = try TrainingFixture(c, batchSize: 4, workers: 2, samples: 12)
      f.train(steps: 3)
      try f.state.withTensors { try Checksums.write($0, metadata: [:], to: directory.file("state")) }
      let other = try fresh(c)
      #expect(other.digest() != f.state.digest())
      try other.load(from: SafetensorsFile(path: directory.file("state")))
      #expect(other.digest() == f.state.digest())
      #expect(other.step == 3 && other.queue.pointer == f.state.queue.pointer)
      // And training continues to the same bits.
      let team = makeTeam(1)
      var optimizer = OptimizerConfiguration(totalSteps: 20)
      optimizer.learningRate = 1e-3
      let training = try TrainingStep(
        other, optimizer: optimizer, batchSize: 4, team: team, seed: 1)
      f.fill(from: 2)
      training.train(on: f.batch)
      f.training.train(on: f.batch)
      #expect(other.digest() == f.state.digest())
    }

    @Test func weightsAreEnoughToEvaluate() throws {
      let directory = try TemporaryDirectory()
      let f = try TrainingFixture(tinyConfiguration(), batchSize: 4, workers: 1)
      f.train(steps: 2)
      try f.state.writeWeights(to: directory.file("weights"))
      let file = try SafetensorsFile(path: directory.file("weights"))
      #expect(!file.names.contains { $0.contains("moment") || $0 == "step" } && file.metadata["format"] == "pt")
      let expected = values(f.training.evaluate(f.batch))
      let other = try TrainingFixture(tinyConfiguration(), batchSize: 4, workers: 1, seed: 9)
      try other.state.loadWeights(from: file)
      #expect(other.state.step == 0)
      #expect(relativeDifference(values(other.training.evaluate(f.batch)), expected.map(Double.init)) < 1e-6)
    }

    @Test func digestSeesEveryPart() throws {
      let f = try TrainingFixture(tinyConfiguration(), batchSize: 4, workers: 1)
      f.train(steps: 1)
      var digests = [f.state.digest()]
      let last = try #require(f.state.model.layout.parameters.last)
      for change in [
        { f.state.parameters[last][0, 0] += 1 }, { f.state.firstMoment.origin[0] += 1 },
        { f.state.secondMoment.origin[0] += 1 }, { f.state.prototypes.values[2][5, 3] += 1 },
        { f.state.queue.rows[39, 3] += 1 }, { f.state.queue.classes[39] += 1 },
        { f.state.queue.restore(pointer: 39) }, { f.state.step += 1 },
      ] as [() -> Void] {
        change()
        digests.append(f.state.digest())
      }
      #expect(Set(digests).count == 9)
    }

    func message(_ c: ModelConfiguration, _ path: String) throws -> String {
      let state = try fresh(c)
      do {
        try state.load(from: SafetensorsFile(path: path))
        return "nothing thrown"
      } catch {
        return error.description
      }
    }

    /// A file of another configuration is refused, naming the first tensor that does not fit.
    @Test func otherShapesAreNamed() throws {
      let directory = try TemporaryDirectory()
      let path = directory.file("state")
      try fresh(tinyConfiguration()).withTensors { try Checksums.write($0, metadata: [:], to: path) }
      for (change, expected) in [
        ({ $0.hiddenSize = 8 }, "tensor 'text.embeddings.word_embeddings.weight' of shape [8, 5]"),
        ({ $0.queueSize = 41 }, "tensor 'queue' of shape [41, 4]"),
        ({ $0.modalities[2].layers = 1 }, "a tensor 'audio.encoder.layer.0.attention.self.query.weight'"),
        ({ $0.modalities[2].name = "smell" }, "a tensor 'smell_norm.norm2d.weight'"),
        ({ $0.labels = 4 }, "'text_attention.attention.weight' of shape [4, 6]"),
      ] as [((inout ModelConfiguration) -> Void, String)] {
        var c = tinyConfiguration()
        change(&c)
        let text = try message(c, path)
        #expect(text.contains(expected), "\(text)")
      }
      #expect(try message(tinyConfiguration(), path) == "nothing thrown")
    }

    @Test func weightsAloneAreNoState() throws {
      let directory = try TemporaryDirectory()
      try fresh(tinyConfiguration()).writeWeights(to: directory.file("weights"))
      #expect(try message(tinyConfiguration(), directory.file("weights")).contains("'first_moment."))
    }

    @Test(arguments: [Int64(-1), 1 << 31 - 1, .max]) func badStepsAreRefused(_ step: Int64) throws {
      let directory = try TemporaryDirectory()
      let path = directory.file("step")
      try fresh(tinyConfiguration()).withTensors { tensors in
        try withUnsafeBytes(of: step) { bytes in
          try SafetensorsWriter(
            tensors: tensors.map {
              $0.name == "step" ? TensorSource(name: "step", element: .int64, shape: [1], bytes: bytes) : $0
            }
          ).write(to: path)
        }
      }
      let text = try message(tinyConfiguration(), path)
      #expect(text.contains("step") && text.contains("\(step)"), "\(text)")
    }

    @Test func badQueuesAreRefused() throws {
      let directory = try TemporaryDirectory()
      for (label, expected) in [(Float(18), "18"), (-2, "-2"), (0.5, "0.5"), (.nan, "nan")] {
        let path = directory.file("queue")
        try fresh(tinyConfiguration()).withTensors { tensors in
          var labels = [Float](repeating: -1, count: 40)
          labels[7] = label
          try labels.withUnsafeBufferPointer { labels in
            let changed = tensors.map {
              $0.name == "queue_label" ? TensorSource(name: $0.name, shape: $0.shape, floats: labels) : $0
            }
            try SafetensorsWriter(tensors: changed).write(to: path)
          }
        }
        let text = try message(tinyConfiguration(), path)
        #expect(text.contains("queue_label") && text.contains(expected), "\(text)")
      }
      for pointer in [Int64(40), -1] {
        let path = directory.file("pointer")
        try fresh(tinyConfiguration()).withTensors { tensors in
          try withUnsafeBytes(of: pointer) { bytes in
            let changed = tensors.map {
              $0.name == "queue_ptr" ? TensorSource(name: $0.name, element: .int64, shape: [1], bytes: bytes) : $0
            }
            try SafetensorsWriter(tensors: changed).write(to: path)
          }
        }
        let text = try message(tinyConfiguration(), path)
        #expect(text.contains("queue_ptr") && text.contains("\(pointer)"), "\(text)")
      }
    }
  }
}

extension TrainingState {
  /// Writes the tensors of a PyTorch state dict with their checksums.
  fileprivate func writeWeights(to path: String) throws {
    try withWeights { try Checksums.write($0, metadata: ["format": "pt"], to: path) }
  }
}
