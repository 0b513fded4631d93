import Model
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
    let state = try TrainingState(CARATModel(c), placement: team.placement)
    state.initialize(seed: seed)
    state.fillQueue(seed: seed)
    var settings = settings
    settings.optimizer = OptimizerConfiguration(totalSteps: 5100)
    training = try TrainingStep(state, settings, team: team)
    source = RandomSource(c, count: batchSize, seed: seed, meanLength: meanLength)
    let batch = Batch(c, capacity: batchSize)
    batch.fill(0..<batchSize, of: source)
    self.batch = batch
    operations = c.matrixOperationsPerStep(batchSize: batchSize) {
      batch.encodedSteps(sample: $0, modality: $1).rows
    }
    timeline = Timeline(workers: team.count, capacity: capacity * 256 * training.microBatches.count)
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
      batch.fill(0..<batch.capacity, of: source)
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
}
