import ArgumentParser
import Model
import Parallel

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time training steps at the paper's size, beside this machine's own matrix products.",
    discussion: """
      Random inputs of full length and a full queue. The share of sgemm is the step's matrix operations over its time, \
      relative to what oneDNN's sgemm does on as many workers, measured in the same run.
      """)

  @Option(help: "B, samples a step.")
  var batchSize = 64

  @Option(help: "T, time steps of each sequence.")
  var length = 60

  @Option(help: ArgumentHelp("Features a step of text, visual and audio.", valueName: "n,n,n"))
  var features = "300,35,74"

  @Option(help: "Labels of a sample.")
  var labels = 6

  @Option(help: "Timed steps, after two that are not.")
  var timedSteps = 10

  @Option(help: "Seed of all random values.")
  var seed: UInt64 = 1

  @Option(help: "Write a timeline of the timed steps, in Chrome's trace format, which Perfetto opens.")
  var trace: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Model and loss") var model: ModelOptions
  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func run() throws {
    let sizes = features.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard sizes.count == Dataset.modalityNames.count, sizes.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--features takes three positive numbers separated by commas, not '\(features)'.")
    }
    for (name, value) in [("batch-size", batchSize), ("length", length), ("timed-steps", timedSteps)] where value < 1 {
      throw ValidationError("--\(name) must be at least 1, not \(value).")
    }
    var c = ModelConfiguration(
      modalities: zip(Dataset.modalityNames, sizes).map {
        .init(name: $0, features: $1, maximumSteps: length, layers: 0)
      }, labels: labels)
    try model.apply(to: &c)
    let result = try Benchmark(
      c, batchSize: batchSize, shards: workers.shards ?? ShardPlan.defaultShards(batchSize: batchSize),
      steps: timedSteps, seed: seed, team: workers.makeTeam(), trace: trace)
    if json { return try printJSON(result) }
    print(
      "\(fixed(result.secondsPerStep, 4)) s a step (median of \(result.steps); \(fixed(result.fastest, 4)) to "
        + "\(fixed(result.slowest, 4))), \(fixed(result.samplesPerSecond, 1)) samples/s")
    print(
      "\(fixed(result.sgemmShare * 100, 1)) % of sgemm's \(fixed(result.sgemmGFLOPS, 0)) GFLOP/s on \(result.workers) "
        + "worker\(result.workers == 1 ? "" : "s"); \(result.shards) shards; peak \(fixed(result.peakMiB, 0)) MiB")
    for (name, seconds) in result.phases.sorted(by: { $0.value > $1.value }) {
      print("  \(fixed(seconds * 1000, 2)) ms  \(name)")
    }
  }
}
