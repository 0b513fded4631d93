import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

extension Teams {
  /// The second promise over several processes: here ranks are threads, each with a team of its own.
  struct RankIndependenceTests {
    struct Outcome: Sendable, Equatable {
      let digest: String
      let losses: [UInt64]
      let scores: [UInt32]
    }

    /// Digest, losses and scores of an evaluation after a few steps with dropout.
    ///
    /// - Parameter workers: of each rank.
    func run(
      _ c: ModelConfiguration, batchSize: Int, workers: [Int], microBatches: Int = 1, dropout: Bool = true
    ) throws -> Outcome {
      let outcomes = try ThreadRanks.run(workers.count) { communicator in
        let f = try TrainingFixture(
          c, batchSize: batchSize, workers: workers[communicator.rank], samples: 3 * batchSize + 1,
          microBatches: microBatches, communicator: communicator)
        let results = f.train(steps: 4, dropout: dropout)
        f.batch.fill(0..<max(1, batchSize - 2), of: f.source)
        let scores = f.training.evaluate(f.batch).elements.map(\.bitPattern)
        f.training.gatherMoments()
        // The whole state, and on other ranks what they have of it.
        let digest = communicator.rank == 0 ? f.state.digest() : ""
        let weights = f.state.withWeights { $0.map { Array($0.bytes) } }
        let isEqual = communicator.agree(on: weights.hashValue) == weights.hashValue
        #expect(isEqual && f.state.replicasAreEqual, "parameters, queue, prototypes of rank \(communicator.rank)")
        return Outcome(digest: digest, losses: results.map(\.loss.bitPattern), scores: scores)
      }
      for (rank, outcome) in outcomes.enumerated() {
        #expect(outcome.losses == outcomes[0].losses && outcome.scores == outcomes[0].scores, "rank \(rank)")
      }
      return outcomes[0]
    }

    static let layouts = [[2], [1, 1], [2, 2], [1, 1, 1], [2, 1, 3], [1, 1, 1, 1, 1], [1, 2, 1, 1, 1, 1, 1]]

    /// With more ranks than blocks of four samples some have none.
    @Test(arguments: [16, 6, 1], ModelConfiguration.Anchors.allCases)
    func sameBitsForAnyRanks(_ batchSize: Int, _ anchors: ModelConfiguration.Anchors) throws {
      var c = tinyConfiguration(queue: 500)
      c.anchors = anchors
      let one = try run(c, batchSize: batchSize, workers: [1])
      for workers in Self.layouts {
        #expect(try run(c, batchSize: batchSize, workers: workers) == one, "workers \(workers)")
      }
    }

    @Test func sameBitsForAnyNumberOfMicroBatches() throws {
      var c = tinyConfiguration()
      // Layers in turn.
      c.modalities[1].maximumSteps = 140
      let one = try run(c, batchSize: 18, workers: [1])
      for (workers, microBatches) in [([1], 3), ([2, 1], 2), ([1, 1, 1], 4), ([1, 2, 1, 1, 1, 1, 1], 2)] {
        #expect(try run(c, batchSize: 18, workers: workers, microBatches: microBatches) == one, "workers \(workers)")
      }
    }

    @Test func sameBitsWithKeysOfAMomentumCopy() throws {
      var c = tinyConfiguration(queue: 500)
      c.queueKeys = .momentum
      c.keyMomentum = 0.9
      let one = try run(c, batchSize: 6, workers: [1])
      for workers in Self.layouts {
        #expect(try run(c, batchSize: 6, workers: workers) == one, "workers \(workers)")
      }
    }

    @Test func sameBitsOfLongSequences() throws {
      var c = tinyConfiguration()
      c.modalities[1].maximumSteps = 140
      let one = try run(c, batchSize: 9, workers: [1])
      for workers in [[1, 1], [2, 1, 1]] {
        #expect(try run(c, batchSize: 9, workers: workers) == one, "workers \(workers)")
      }
    }

    @Test func sameBitsWithoutAQueue() throws {
      let c = tinyConfiguration(queue: 0)
      let one = try run(c, batchSize: 4, workers: [1])
      for workers in [[1, 1], [1, 2, 1]] {
        #expect(try run(c, batchSize: 4, workers: workers) == one, "workers \(workers)")
      }
    }

    /// Rows of the paper's widths, tensors of several chunks.
    @Test func sameBitsAtLargerSizes() throws {
      let c = wideConfiguration(textFeatures: 200)
      let one = try run(c, batchSize: 10, workers: [1])
      for workers in [[1, 1], [1, 2], [1, 1, 1]] {
        #expect(try run(c, batchSize: 10, workers: workers) == one, "workers \(workers)")
      }
    }

    @Test func gradientsOfAllPartsReachEveryRank() throws {
      let c = tinyConfiguration()
      func gradients(_ ranks: Int) throws -> [[[UInt32]]] {
        try ThreadRanks.run(ranks) { communicator in
          let f = try TrainingFixture(c, batchSize: 6, workers: 1, communicator: communicator)
          f.train(steps: 1)
          f.training.gatherGradients()
          return f.state.model.trained.map { f.training.reduction.gradient[$0].elements.map(\.bitPattern) }
        }
      }
      let one = try gradients(1)[0]
      for ranks in [2, 3, 7] { for own in try gradients(ranks) { #expect(own == one, "\(ranks) ranks") } }
    }
  }
}
