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

  @Option("Samples a step (B).", value: "n")
  var batchSize = 64

  @Option("Time steps of each sequence (T).", value: "n")
  var length = 60

  @Option("Features a time step of text, visual and audio.", value: "n,n,n")
  var features = "300,35,74"

  @Option("Labels of a sample (C).", value: "n")
  var labels = 6

  @Option("Timed steps, after two that are not.", value: "n")
  var timedSteps = 10

  @Option("Seed of all random values.", value: "n")
  var seed: UInt64 = 1

  @Option("File for a timeline of the timed steps in Chrome's trace format, which Perfetto opens.", value: "file")
  var trace: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions
  @OptionGroup(title: "Workers") var shards: ShardOptions
  @OptionGroup(title: "Model and loss") var model: ModelOptions

  func run() throws {
    guard (1...1 << 20).contains(length), (1...1_000_000).contains(timedSteps) else {
      throw ValidationError("--length and --timed-steps must be at least 1, and not absurd.")
    }
    var shape = SyntheticDataset.Settings()
    shape.features = try wholeNumbers(features, option: "--features", atLeast: 1)
    shape.steps = shape.features.map { _ in length }
    shape.labels = max(labels, 1)
    var settings = RunConfiguration(for: DatasetShape(of: shape))
    try model.apply(to: &settings.model)
    settings.batchSize = batchSize
    settings.seed = seed
    settings.shards = shards.shards ?? settings.defaultShards
    if let contradiction = settings.contradiction { throw SettingsError(description: contradiction) }
    try settings.requireMemory()
    let result = try Benchmark(settings, steps: timedSteps, team: workers.makeTeam(), trace: trace)
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
