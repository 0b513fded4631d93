import Parallel
import Tensor

/// Training steps on random inputs with a full queue, all memory planned, to be timed in portions: what lies between two
/// portions, such as the machine's own matrix products or another configuration's steps, is not timed.
///
/// Of several ranks, all have to do the same; times and the timeline are this rank's.
final class PreparedBenchmark {
  let training: TrainingStep
  /// Spans of the steps since the last warm-up.
  let timeline: Timeline
  /// Of one step, all ranks together.
  let operations: MatrixOperations
  private let source: RandomSource
  private let batch: Batch
  private let seed: UInt64

  /// - Parameters:
  ///   - capacity: steps between two warm-ups whose spans the timeline has room for.
  ///   - meanLength: as of `RandomSource`.
  ///   - turns: as of `TrainingStep`.
  init(_ settings: RunConfiguration, team: WorkerTeam, capacity: Int, meanLength: Double = 1, turns: Turns? = nil)
    throws
  {
    let (c, batchSize) = (settings.model, settings.batchSize)
    seed = settings.seed
    let state = try TrainingState(CARAT(c), placement: team.placement)
    state.initialize(seed: seed)
    state.fillQueue(seed: seed)
    training = try TrainingStep(
      state, optimizer: OptimizerConfiguration(totalSteps: 5100), batchSize: batchSize, team: team, seed: seed)
    source = RandomSource(c, count: batchSize, seed: seed, meanLength: meanLength)
    let batch = Batch(c, capacity: batchSize)
    batch.fill(0..<batchSize, of: source)
    self.batch = batch
    operations = c.matrixOperationsPerStep(batchSize: batchSize) {
      batch.encodedSteps(sample: $0, modality: $1).rows
    }
    timeline = Timeline(workers: team.count, capacity: capacity * 256)
    training.timeline = timeline
    training.turns = turns
  }

  /// Steps that are not timed; then the timeline is empty and it is known where memory is.
  func warmUp(steps: Int) {
    _ = time(steps: steps)
    training.checkPlacement()
    timeline.removeAll()
  }

  /// Seconds of each of so many steps.
  func time(steps: Int) -> [Double] {
    (0..<steps).map { _ in
      batch.fill(0..<batch.capacity, of: source, step: training.state.step)
      batch.shuffle.draw(seed: seed, step: training.state.step)
      let start = ContinuousClock.now
      training.train(on: batch)
      return (ContinuousClock.now - start).seconds
    }
  }

  /// Barriers that a worker meets in a step, by the timeline.
  func barriers(ofSteps steps: Int) -> Int {
    timeline.spans(ofWorker: 0).count { $0.name == "wait" } / max(steps, 1)
  }

  /// Bytes of activations and scratch space of this rank's workers, without what they add gradients in.
  var workspaceBytes: Int {
    let all = training.memory.filter {
      switch $0.use {
      case .worker, .group: true
      case .replica, .shared: false
      }
    }
    return all.reduce(0) { $0 + $1.arena.bytes } - nodes * gradientBytes
  }

  /// Nodes of the reduction tree that this rank's groups of workers add gradients into.
  var nodes: Int { training.weightGradients.reduce(0) { $0 + $1.nodes.count } }

  /// Bytes of the gradients of all parameters that are trained.
  var gradientBytes: Int { training.model.parameterCount * MemoryLayout<Float>.stride }

  /// What a step moves beyond caches, as far as it is known without a machine.
  var bytes: StepBytes {
    StepBytes(
      gradients: gradientBytes, activations: workspaceBytes, betweenNodes: training.trafficBetweenNodes,
      rows: training.exchange.bytes + training.statistics.bytes)
  }

  /// Bytes and messages that this rank sends in a step.
  var sent: (bytes: Int, messages: Int) {
    let exchange = training.exchange
    let messages =
      [
        exchange.forward, exchange.aggregated, training.statistics.messages, training.reduction.gatherSquares,
      ] + training.optimizer.gatherParameters
    return (
      messages.reduce(training.reduction.scatter.sentBytes) { $0 + $1.sentBytes },
      messages.reduce(0) { $0 + $1.sends.count }
    )
  }
}

/// Bytes that a step moves.
public struct StepBytes: Encodable, Sendable {
  /// Of the gradients of all parameters, as many as of the parameters.
  public let gradients: Int
  /// Of activations and workspaces of this process.
  public let activations: Int
  public let betweenNodes: TrafficBetweenNodes
  /// Live rows, betas, statistics and the like: what all workers need of all samples.
  public let rows: Int

  private enum CodingKeys: String, CodingKey {
    case gradients, activations, rows
    case betweenNodes = "between_nodes"
  }
}

extension TrainingState {
  /// Random unit rows of random classes, as after some steps.
  func fillQueue(seed: UInt64) {
    let key = RandomKey(seed: seed)
    let rows = queue.rows
    key.fillNormal(rows.base, count: rows.count, stream: 1 << 20, deviation: 1)
    var lengths = [Float](repeating: 0, count: rows.rows)
    UnitLength.forward(rows, into: rows, inverseLength: &lengths)
    for i in 0..<rows.rows {
      queue.classes[i] = Int32(key.words(1 << 21, UInt32(i)).0 % UInt32(model.configuration.contrastiveClasses))
    }
  }
}
