import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

extension Teams {
  /// A step that is not finite says the same of itself on any layout, and changes nothing.
  struct NonFiniteTests {
    static let layouts = [[1], [3], [1, 1], [2, 1, 2], [1, 1, 1, 1, 1, 1]]

    /// What is found in a batch of 6 samples, numbered from 4, by each rank of each layout.
    ///
    /// - Parameter workers: of each rank.
    func find(
      _ c: ModelConfiguration = tinyConfiguration(), spoil: @escaping @Sendable (TrainingFixture) -> Void
    ) throws -> NonFinite {
      let found = try Self.layouts.flatMap { workers in
        try ThreadRanks.run(workers.count) { communicator in
          let f = try TrainingFixture(
            c, batchSize: 6, workers: workers[communicator.rank], samples: 12,
            microBatches: workers == [3] || workers == [2, 1, 2] ? 2 : 1, communicator: communicator)
          spoil(f)
          f.fill(from: 4)
          f.state.step = 7
          let weights = { f.state.withWeights { $0.map { Array($0.bytes) } } }
          let (before, queue) = (weights(), f.state.queue.pointer)
          let isFinite = f.training.train(on: f.batch).isFinite
          #expect(!isFinite, "layout \(workers)")
          let found = f.training.findNonFinite(in: f.batch)
          let isUnchanged = weights() == before && f.state.queue.pointer == queue && f.state.step == 7
          #expect(isUnchanged, "layout \(workers)")
          return found
        }
      }
      #expect(found.allSatisfy { $0 == found[0] }, "\(found.map(\.description))")
      return found[0]
    }

    /// NaNs of other signs and payloads are no difference.
    @Test func digestsDoNotDependOnTheLayout() throws {
      let all = try [(1, 1), (2, 1), (1, 2), (3, 3)].map { workers, microBatches in
        let f = try TrainingFixture(
          wideConfiguration(textFeatures: 12), batchSize: 12, workers: workers, microBatches: microBatches)
        for sample in [2, 5, 6] { f.source.spoil(sample: sample, modality: sample % 3) }
        f.fill(from: 0)
        let result = f.training.train(on: f.batch)
        #expect(!result.isFinite)
        return StepDigests(result, f.training)
      }
      #expect(all.allSatisfy { $0 == all[0] })
    }

    @Test func namesTheSampleAndWhatItMade() throws {
      let found = try find { $0.source.spoil(sample: 8, modality: 1) }
      #expect(found == NonFinite(tensor: "normalised features of visual", samples: [8], places: 4..<5))
      #expect(found.description == "normalised features of visual, sample 8 (place 4 of the batch)")
    }

    @Test func namesWhatWasComputedFirst() throws {
      // Of two samples the one whose earlier tensor is bad, of equal ones the first in the batch.
      #expect(
        try find {
          $0.source.spoil(sample: 5, modality: 2)
          $0.source.spoil(sample: 9, modality: 0)
        } == NonFinite(tensor: "normalised features of text", samples: [9], places: 5..<6))
      #expect(
        try find {
          $0.source.spoil(sample: 8, modality: 2)
          $0.source.spoil(sample: 5, modality: 2)
        } == NonFinite(tensor: "normalised features of audio", samples: [5], places: 1..<2))
    }

    @Test func namesAParameter() throws {
      let found = try find { f in
        f.state.parameters[f.state.model.layout.parameters[3]][0, 0] = .infinity
        f.state.copyToReplicas()
      }
      let name = CARATModel(tinyConfiguration()).layout.parameters[3].name
      #expect(found.description == name && found.samples == [])
    }

    @Test func namesGradients() throws {
      var c = tinyConfiguration()
      c.weights[.reconstructionMSE] = 3e38
      let found = try find(c) { _ in }
      #expect(found.tensor.hasPrefix("gradient of ") && (1...4).contains(found.places.count), "\(found)")
      #expect(found.samples.count == found.places.count)
      // Finite gradients, whose squares are not.
      c.weights[.reconstructionMSE] = 1e30
      #expect(try find(c) { _ in }.description == "the norm of all gradients")
    }
  }
}
