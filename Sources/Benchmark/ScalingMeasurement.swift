import Model
import Parallel

/// What one configuration of a scaling experiment did in one round.
package struct ScalingMeasurement: Codable, Sendable {
  package let mode: ScalingExperiment.Mode
  /// Of all ranks.
  package let workers: Int
  package let ranks: Int
  package let round: Int
  package let batchSize: Int
  /// Of each timed step.
  package let seconds: [Double]
  /// Their median.
  package let secondsPerStep: Double
  package let samplesPerSecond: Double
  /// Products of an encoder's shape on all workers of all ranks at once, before and after the steps: the mean.
  package let sgemmGFLOPS: Double
  /// Matrix operations of a step over the time it takes, relative to that rate.
  package let sgemmShare: Double
  /// Of a step.
  package let operations: MatrixOperations
  /// Seconds per step by phase, mean over this rank's workers and steps.
  package let phases: [String: Double]
  /// That a worker meets in a step.
  package let barriers: Int
  /// Of one barrier at which all workers of rank 0 arrive at once.
  package let barrierSeconds: Double
  /// Bytes of the gradients of all parameters.
  package let gradientBytes: Int
  /// Nodes of the reduction tree that rank 0's groups of workers add gradients into: what the all-reduce reads.
  package let nodes: Int
  /// Bytes of activations and scratch space of rank 0's workers.
  package let workspaceBytes: Int
  /// What rank 0 sends in a step.
  package let sentBytes: Int
  package let sentMessages: Int

  private enum CodingKeys: String, CodingKey {
    case mode, workers, ranks, round, seconds, operations, phases, barriers, nodes
    case barrierSeconds = "barrier_seconds"
    case batchSize = "batch_size"
    case secondsPerStep = "seconds_per_step"
    case samplesPerSecond = "samples_per_second"
    case sgemmGFLOPS = "sgemm_gflops"
    case sgemmShare = "sgemm_share"
    case gradientBytes = "gradient_bytes"
    case workspaceBytes = "workspace_bytes"
    case sentBytes = "sent_bytes"
    case sentMessages = "sent_messages"
  }

  /// Times the steps.
  init(_ configuration: ScalingExperiment.Configuration, _ prepared: PreparedBenchmark, round: Int, steps: Int) {
    let team = prepared.training.team
    let settings = configuration.settings
    prepared.warmUp(steps: 2)
    let machine = MachineRates(team: team)
    let before = machine.matrixProducts()
    seconds = prepared.time(steps: steps)
    let rate = (before + machine.matrixProducts()) / 2
    barrierSeconds = StepBenchmark.barrierSeconds(team)
    mode = configuration.mode
    workers = team.ranks.workerCount
    ranks = team.ranks.size
    self.round = round
    batchSize = settings.batchSize
    secondsPerStep = Spread(seconds).median
    samplesPerSecond = Double(settings.batchSize) / secondsPerStep
    operations = prepared.operations
    sgemmGFLOPS = rate * 1e-9
    sgemmShare = operations.total / secondsPerStep / rate
    phases = prepared.timeline.secondsByName().mapValues { $0 / Double(steps) }
    barriers = prepared.barriers(ofSteps: steps)
    gradientBytes = prepared.training.bytes.gradients
    nodes = prepared.training.gradientNodes
    workspaceBytes = prepared.training.bytes.activations
    (sentBytes, sentMessages) = prepared.training.sent
  }
}
