import Foundation
import Parallel
import TestSupport

@testable import Model
@testable import Tensor

/// Rows of the paper's widths.
func wideConfiguration(textFeatures: Int) -> ModelConfiguration {
  var c = ModelConfiguration(
    modalities: [
      .init(name: "text", features: textFeatures, maximumSteps: 20, layers: 1),
      .init(name: "visual", features: 35, maximumSteps: 20, layers: 1),
      .init(name: "audio", features: 74, maximumSteps: 20, layers: 0),
    ], labels: 6)
  c.hiddenSize = 64
  c.feedForwardSize = 96
  c.latentSize = 32
  c.queueSize = 700
  return c
}

/// A tiny model of odd sizes; modalities differ in features, steps and depth, one has no transformer layer.
func tinyConfiguration(modalities: Int = 3, queue: Int = 40) -> ModelConfiguration {
  let all: [ModelConfiguration.Modality] = [
    .init(name: "text", features: 5, maximumSteps: 4, layers: 2),
    .init(name: "visual", features: 3, maximumSteps: 3, layers: 1),
    .init(name: "audio", features: 4, maximumSteps: 5, layers: 0),
    .init(name: "depth", features: 7, maximumSteps: 2, layers: 1),
  ]
  var c = ModelConfiguration(modalities: Array(all.prefix(modalities)), labels: 3)
  c.hiddenSize = 6
  c.heads = 2
  c.feedForwardSize = 5
  c.latentSize = 4
  c.queueSize = queue
  return c
}

func makeTeam(_ workers: Int) -> WorkerTeam { WorkerTeam(placement: Placement(.current(), workers: workers)) }

/// Random samples in memory, of ragged lengths.
final class RandomSource: SampleSource, @unchecked Sendable {
  let count: Int
  private let lengths: [[Int]]
  private let features: [Matrix]
  private let widths: [Int]
  private let longest: [Int]
  private let labels: Matrix

  init(_ c: ModelConfiguration, count: Int, seed: UInt64 = 5, ragged: Bool = true) throws {
    self.count = count
    widths = c.modalities.map(\.features)
    longest = c.modalities.map(\.maximumSteps)
    let key = RandomKey(seed: seed)
    lengths = c.modalities.enumerated().map { m, modality in
      (0..<count).map { s in
        ragged ? 1 + Int(key.words(UInt32(m), UInt32(s)).0) % modality.maximumSteps : modality.maximumSteps
      }
    }
    features = try c.modalities.enumerated().map { m, modality in
      try random(count, modality.maximumSteps * modality.features, seed: seed + 1 + UInt64(m))
    }
    labels = try random(count, c.labels, seed: seed + 100)
    for i in 0..<count { for j in 0..<c.labels { labels[i, j] = labels[i, j] > 0.3 ? 1 : 0 } }
  }

  /// Gives a sample a feature that is not finite.
  func spoil(sample: Int, modality: Int) { features[modality][sample, 0] = .infinity }

  func steps(modality: Int) -> Int { longest[modality] }
  func length(sample: Int, modality: Int) -> Int { lengths[modality][sample] }
  func labels(ofSample sample: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: labels.row(sample), count: labels.columns)
  }
  func copyFeatures(sample: Int, modality: Int, steps: Int, into target: UnsafeMutablePointer<Float>) {
    target.update(from: features[modality].row(sample), count: steps * widths[modality])
  }
}

/// A training step of a model with random parameters, samples, queue and prototypes.
final class TrainingFixture {
  let state: TrainingState
  let training: TrainingStep
  let batch: Batch
  let source: RandomSource
  private let seed: UInt64

  /// - Parameters:
  ///   - deviation: of noise added to the initial parameters, so that every gradient is exercised.
  ///   - nodes: NUMA nodes, emulated if more than one.
  init(
    _ c: ModelConfiguration, batchSize: Int, workers: Int, samples: Int? = nil, seed: UInt64 = 1,
    learningRate: Double = 1e-3, deviation: Float = 0.05, ragged: Bool = true,
    averageDecay: Double? = nil, microBatches: Int = 1, nodes: Int = 1,
    communicator: any Communicator = SoloCommunicator()
  ) throws {
    self.seed = seed
    let placement =
      nodes == 1
      ? Placement(.current(), workers: workers)
      : Placement(emulatedNodes: nodes, workers: workers, on: .current())
    let team = WorkerTeam(placement: placement, communicator: communicator)
    state = try TrainingState(CARATModel(c), placement: team.placement, averages: averageDecay != nil)
    state.initialize(seed: seed)
    let θ = state.parameters
    for (i, p) in state.model.layout.parameters.enumerated() where deviation > 0 {
      add(try random(p.rows, p.columns, seed: 1000 + UInt64(i), deviation: deviation), to: θ[p])
    }
    state.copyToReplicas()
    for m in c.modalities.indices {
      let p = state.prototypes.values[m]
      p.copy(from: try random(p.rows, p.columns, seed: 50 + UInt64(m), deviation: 0.5))
    }
    let filled = c.queueSize * 3 / 5
    let unit = try random(filled, c.latentSize, seed: 60)
    UnitLength.forward(unit, into: unit, inverseLength: try testArena.allocate(filled))
    if filled > 0 { state.queue.rows.rows(0..<filled).copy(from: unit) }
    for i in 0..<filled { state.queue.classes[i] = Int32(i * 7 % c.contrastiveClasses) }
    if c.queueSize > 0 { state.queue.restore(pointer: filled % c.queueSize) }
    var optimizer = OptimizerConfiguration(totalSteps: 20)
    optimizer.learningRate = learningRate
    optimizer.averageDecay = averageDecay
    training = try TrainingStep(
      state, optimizer: optimizer, batchSize: batchSize, microBatches: microBatches, team: team, seed: seed)
    batch = Batch(c, capacity: batchSize)
    source = try RandomSource(c, count: samples ?? batchSize, ragged: ragged)
    fill(from: 0)
  }

  /// Takes the next samples, starting again at the first, and draws the step's shuffle.
  func fill(from first: Int) {
    batch.fill((0..<batch.capacity).map { (first + $0) % source.count }, of: source)
    batch.shuffle.draw(seed: seed, step: state.step)
  }

  /// Trains some steps; the results.
  @discardableResult func train(steps: Int, dropout: Bool = true) -> [StepResult] {
    (0..<steps).map { k in
      fill(from: k * batch.capacity)
      return training.train(on: batch, dropout: dropout)
    }
  }
}
