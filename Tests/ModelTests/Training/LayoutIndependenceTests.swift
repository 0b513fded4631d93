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
      _ c: ModelConfiguration, batchSize: Int, workers: Int, microBatches: Int = 1, nodes: Int = 1, seed: UInt64 = 1
    ) throws -> (digest: String, losses: [Double]) {
      let f = try TrainingFixture(
        c, batchSize: batchSize, workers: workers, samples: 3 * batchSize + 1, seed: seed,
        microBatches: microBatches, nodes: nodes)
      let results = f.train(steps: 5)
      return (f.state.digest(), results.map(\.loss))
    }

    /// Any batch size works.
    @Test(arguments: [1, 3, 4, 5, 8, 10], ModelConfiguration.Anchors.allCases)
    func sameBitsForAnyNumberOfWorkers(_ batchSize: Int, _ anchors: ModelConfiguration.Anchors) throws {
      var c = tinyConfiguration(queue: 500)
      c.anchors = anchors
      let one = try run(c, batchSize: batchSize, workers: 1)
      #expect(one.losses.allSatisfy { $0.isFinite })
      for workers in [2, 3, 4, 7, 16] {
        let more = try run(c, batchSize: batchSize, workers: workers)
        #expect(more.digest == one.digest, "\(workers) workers")
        #expect(more.losses.map(\.bitPattern) == one.losses.map(\.bitPattern), "\(workers) workers")
      }
    }

    /// Any number of micro-batches, of any number of blocks: those of some groups have none.
    @Test(
      arguments: [(4, [1]), (9, [2, 3]), (18, [2, 3, 5]), (32, [2, 4, 8])], ModelConfiguration.QueueKeys.allCases)
    func sameBitsForAnyNumberOfMicroBatches(_ sizes: (Int, [Int]), _ keys: ModelConfiguration.QueueKeys) throws {
      var c = tinyConfiguration(queue: 500)
      c.queueKeys = keys
      c.modalities[1].alignedSteps = 2
      let one = try run(c, batchSize: sizes.0, workers: 1)
      for microBatches in sizes.1 {
        for (workers, nodes) in [(1, 1), (3, 1), (4, 2)] {
          let more = try run(c, batchSize: sizes.0, workers: workers, microBatches: microBatches, nodes: nodes)
          #expect(more.digest == one.digest, "\(microBatches) micro-batches, \(workers) workers")
          #expect(more.losses.map(\.bitPattern) == one.losses.map(\.bitPattern), "\(microBatches) micro-batches")
        }
      }
    }

    /// Memory of a group falls by what encoders keep for backward; scores of an evaluation are the same.
    @Test func microBatchesTakeLessMemory() throws {
      var c = wideConfiguration(textFeatures: 40)
      c.modalities[0].maximumSteps = 60
      let all = try [1, 4].map { try TrainingFixture(c, batchSize: 64, workers: 1, microBatches: $0) }
      let bytes = all.map(\.training.bytes.activations)
      #expect(Double(bytes[1]) < 0.7 * Double(bytes[0]), "\(bytes)")
      let scores = all.map { values($0.training.evaluate($0.batch)) }
      #expect(bits(scores[0]) == bits(scores[1]))
    }

    @Test func sameBitsWithKeysOfAMomentumCopy() throws {
      var c = tinyConfiguration(queue: 500)
      c.queueKeys = .momentum
      c.keyMomentum = 0.9
      let one = try run(c, batchSize: 6, workers: 1)
      for workers in [2, 3, 7] {
        #expect(try run(c, batchSize: 6, workers: workers).digest == one.digest, "\(workers) workers")
      }
      c.queueKeys = .live
      #expect(try run(c, batchSize: 6, workers: 1).losses != one.losses)
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
      let one = try run(c, batchSize: 9, workers: 1)
      for workers in [2, 3, 5, 9] {
        #expect(try run(c, batchSize: 9, workers: workers).digest == one.digest, "\(workers) workers")
      }
    }

    /// Rows of the paper's widths, where a product's kernel and its remainders matter more than in tiny ones.
    @Test func sameBitsAtLargerSizes() throws {
      let c = wideConfiguration(textFeatures: 40)
      let one = try run(c, batchSize: 10, workers: 1)
      for workers in [2, 3, 8] {
        #expect(try run(c, batchSize: 10, workers: workers).digest == one.digest, "\(workers) workers")
      }
    }

    @Test func sameBitsOfALargeBatchOnManyWorkers() throws {
      let one = try run(tinyConfiguration(), batchSize: 63, workers: 1)
      for workers in [3, 64, 128] {
        #expect(
          try run(tinyConfiguration(), batchSize: 63, workers: workers).digest == one.digest, "\(workers) workers")
      }
    }

    /// Nodes have runs of blocks and replicas of their own; with more nodes than blocks some have none.
    @Test(arguments: [(2, 2), (2, 5), (3, 7), (4, 4), (7, 7)]) func sameBitsOnAnyNodes(_ nodes: Int, _ workers: Int)
      throws
    {
      var c = tinyConfiguration(queue: 500)
      c.queueKeys = .momentum
      let one = try run(c, batchSize: 18, workers: 1)
      let more = try run(c, batchSize: 18, workers: workers, nodes: nodes)
      #expect(more.digest == one.digest && more.losses == one.losses)
    }

    /// N − 1 times the gradients' size, whatever W, where runs of samples are subtrees.
    @Test(arguments: [(1, 3), (2, 2), (2, 7), (4, 4), (4, 9)])
    func bytesBetweenNodesDoNotGrowWithWorkers(_ nodes: Int, _ workers: Int) throws {
      let f = try TrainingFixture(tinyConfiguration(), batchSize: 16, workers: workers, nodes: nodes)
      #expect(
        f.training.trafficBetweenNodes.gradients == (nodes - 1) * 4 * f.state.model.trained.reduce(0) { $0 + $1.count })
    }

    /// Layers of long sequences go backward in turn.
    @Test func sameBitsOfLongSequences() throws {
      var c = tinyConfiguration()
      c.modalities[1].maximumSteps = 140
      c.modalities[1].layers = 2
      #expect(c.takesLayersInTurn && CARATModel(c).turns.count == 5)
      let one = try run(c, batchSize: 6, workers: 1)
      for workers in [2, 5] { #expect(try run(c, batchSize: 6, workers: workers).digest == one.digest) }
      #expect(try run(c, batchSize: 6, workers: 4, nodes: 2).digest == one.digest)
    }

    @Test func seedsDiffer() throws {
      let digests = try [1, 2, 1 << 40].map {
        try run(tinyConfiguration(), batchSize: 4, workers: 1, seed: $0).digest
      }
      #expect(Set(digests).count == 3)
    }
  }
}
