import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

extension Teams {
  /// The second promise: bits depend on (data, configuration, seed) alone.
  struct LayoutIndependenceTests {
    /// The state's digest and the losses after a few steps with dropout.
    func run(
      _ c: ModelConfiguration, batchSize: Int, shards: Int, workers: Int, seed: UInt64 = 1
    ) throws -> (digest: String, losses: [Double]) {
      let f = try TrainingFixture(
        c, batchSize: batchSize, shards: shards, workers: workers, samples: 3 * batchSize + 1, seed: seed)
      let results = f.train(steps: 5)
      return (f.state.digest(), results.map(\.loss))
    }

    @Test(arguments: [(8, 8), (6, 3), (5, 5), (7, 1)], ModelConfiguration.Anchors.allCases)
    func sameBitsForAnyNumberOfWorkers(_ sizes: (Int, Int), _ anchors: ModelConfiguration.Anchors) throws {
      var c = tinyConfiguration(queue: 500)
      c.anchors = anchors
      let one = try run(c, batchSize: sizes.0, shards: sizes.1, workers: 1)
      #expect(one.losses.allSatisfy { $0.isFinite })
      for workers in [2, 3, 4, 7, 16] {
        let more = try run(c, batchSize: sizes.0, shards: sizes.1, workers: workers)
        #expect(more.digest == one.digest, "\(workers) workers")
        #expect(more.losses.map(\.bitPattern) == one.losses.map(\.bitPattern), "\(workers) workers")
      }
    }

    @Test func sameBitsWithKeysOfAMomentumCopy() throws {
      var c = tinyConfiguration(queue: 500)
      c.queueKeys = .momentum
      c.keyMomentum = 0.9
      let one = try run(c, batchSize: 6, shards: 3, workers: 1)
      for workers in [2, 3, 7] {
        #expect(try run(c, batchSize: 6, shards: 3, workers: workers).digest == one.digest, "\(workers) workers")
      }
      c.queueKeys = .live
      #expect(try run(c, batchSize: 6, shards: 3, workers: 1).losses != one.losses)
    }

    @Test(arguments: ModelConfiguration.Padding.allCases) func sameBitsWithSoftAlignment(
      _ padding: ModelConfiguration.Padding
    ) throws {
      var c = ModelConfiguration(
        modalities: [
          .init(name: "text", features: 12, maximumSteps: 9, layers: 1),
          .init(name: "visual", features: 35, maximumSteps: 40, layers: 1),
          .init(name: "audio", features: 74, maximumSteps: 33, layers: 0),
        ], labels: 3)
      c.hiddenSize = 16
      c.heads = 2
      c.feedForwardSize = 16
      c.latentSize = 8
      c.queueSize = 100
      c.padding = padding
      c.modalities[1].alignedSteps = 9
      c.modalities[2].alignedSteps = 20
      c.queueKeys = .momentum
      let one = try run(c, batchSize: 9, shards: 9, workers: 1)
      for workers in [2, 3, 5, 9] {
        #expect(try run(c, batchSize: 9, shards: 9, workers: workers).digest == one.digest, "\(workers) workers")
      }
    }

    /// Rows of the paper's widths, where a product's kernel and its remainders matter more than in tiny ones.
    @Test func sameBitsAtLargerSizes() throws {
      let c = wideConfiguration(textFeatures: 40)
      let one = try run(c, batchSize: 10, shards: 5, workers: 1)
      for workers in [2, 3, 8] {
        #expect(try run(c, batchSize: 10, shards: 5, workers: workers).digest == one.digest, "\(workers) workers")
      }
    }

    @Test func shardsChangeNothingButRounding() throws {
      let one = try run(tinyConfiguration(), batchSize: 12, shards: 1, workers: 2)
      for shards in [2, 3, 6, 12] {
        let more = try run(tinyConfiguration(), batchSize: 12, shards: shards, workers: 2)
        for (a, b) in zip(more.losses, one.losses) { #expect(abs(a - b) < 1e-4 * abs(b), "\(shards) shards") }
      }
    }

    @Test func seedsDiffer() throws {
      let digests = try [1, 2, 1 << 40].map {
        try run(tinyConfiguration(), batchSize: 4, shards: 2, workers: 1, seed: $0).digest
      }
      #expect(Set(digests).count == 3)
    }
  }
}
