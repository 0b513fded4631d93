import ArgumentParser
import Benchmark
import Files
import Model
import Parallel

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time training steps at the paper's size, beside what this machine's cores can do.",
    discussion: """
      Random inputs and a full queue. Measured in the same run: the peak, which is a loop of multiply-adds that do not \
      depend on one another, on as many workers; and each kind of the step's matrix products by itself. The share of the \
      peak is the step's matrix operations over its time; the rest of a step is what is left when its products take the \
      time that they take by themselves.
      """)

  @OptionGroup var sizes: BatchOptions

  @Option(
    "Mean length of the sequences, of the full length; a sample's is drawn evenly from the widest range around it.",
    value: "share")
  var meanLength = 1.0

  @Option("Timed steps, after two that are not.", value: "n")
  var timedSteps = 10

  @Option("Seed of all random values.", value: "n")
  var seed: UInt64 = 1

  @Option("File for a timeline of the timed steps in Chrome's trace format, which Perfetto opens.", value: "file")
  var trace: String?

  @Flag(
    help: "Time the all-reduce of the gradients over all ranks, beside the MPI library's own sum, instead of steps.")
  var collectives = false

  @Flag(help: "On several ranks: exchange gradients after backward instead of during it, to see what that gains.")
  var noOverlap = false

  @Flag(help: "Print the memory that a run of these settings needs and where it will go, and stop.")
  var dryRun = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions
  @OptionGroup(title: "Workers") var ranks: RankOptions
  @OptionGroup(title: "Model and loss") var model: ModelOptions

  func validate() throws {
    guard (1...1_000_000).contains(timedSteps) else {
      throw ValidationError("--timed-steps must be between 1 and 1000000, not \(timedSteps).")
    }
    guard meanLength > 0, meanLength <= 1 else {
      throw ValidationError("--mean-length must be above 0 and at most 1, not \(meanLength).")
    }
    let ofSteps = [("--trace", trace != nil), ("--mean-length", meanLength != 1), ("--no-overlap", noOverlap)]
    func refuse(_ others: [(name: String, isGiven: Bool)], with option: String) throws {
      guard let other = others.first(where: \.isGiven) else { return }
      throw ValidationError("\(option) times no steps, and does not go with \(other.name).")
    }
    if dryRun { try refuse(ofSteps + [("--collectives", collectives)], with: "--dry-run") }
    if collectives {
      try refuse(ofSteps, with: "--collectives")
      if Launcher.announced.size == 1 {
        throw ValidationError("--collectives needs several ranks, not one: start them with mpirun or srun.")
      }
    }
  }

  func run() throws {
    var settings = try sizes.settings(model)
    settings.seed = seed
    if dryRun {
      let plan = try PlacementPlan(settings, team: try workers.makeTeam())
      if json { return try printJSON(plan) }
      for line in plan.lines(settings) { try say(line) }
      return
    }
    try settings.requireMemory()
    let communicator = try ranks.join()
    try communicator.requireAgreement(
      on: settings,
      and: [
        ("--timed-steps", "\(timedSteps)"), ("--mean-length", "\(meanLength)"), ("--collectives", "\(collectives)"),
        ("--no-overlap", "\(noOverlap)"),
      ])
    if collectives { return try timeCollectives(settings, communicator) }
    // Whether there is a place for it is known before anything is timed; what was timed is told before it is written.
    let file = communicator.rank == 0 ? try trace.map { path throws(DataError) in try TextOutput(path: path) } : nil
    let result = try StepBenchmark(
      settings, steps: timedSteps, team: try workers.makeTeam(communicator), meanLength: meanLength,
      overlapsExchange: !noOverlap, traces: file != nil)
    if communicator.rank > 0 { return }
    try tell(result)
    try file?.write(result.trace ?? "")
    try file?.finish()
  }

  private func tell(_ result: StepBenchmark) throws {
    if json { return try printJSON(result) }
    try say(
      "\(fixed(result.secondsPerStep, 4)) s per step (median of \(result.steps); \(fixed(result.fastest, 4)) to "
        + "\(fixed(result.slowest, 4))), \(fixed(result.samplesPerSecond, 1)) samples/s")
    try say(
      "\(fixed(result.fmaShare * 100, 1)) % of the multiply-adds' peak of \(fixed(result.fmaGFLOPS, 0)) GFLOP/s, "
        + "\(fixed(result.sgemmShare * 100, 1)) % of products' \(fixed(result.sgemmGFLOPS, 0)), on \(result.workers) "
        + "worker\(result.workers == 1 ? "" : "s")\(result.ranks == 1 ? "" : " of \(result.ranks) ranks"); peak \(fixed(result.peakMiB, 0)) MiB"
    )
    for kind in ProductKind.allCases {
      guard let rate = result.products[kind.rawValue] else { continue }
      let share = fixed(100 * rate / result.fmaGFLOPS, 0)
      try say("  \(fixed(rate, 0)) GFLOP/s (\(share) % of the peak)  \(kind.rawValue)")
    }
    try say("  \(fixed(result.restShare * 100, 1)) % of the step is not products")
    for (name, seconds) in result.phases.sorted(by: { $0.value > $1.value }) {
      try say("  \(fixed(seconds * 1000, 2)) ms  \(name)")
    }
  }

  private func timeCollectives(_ settings: RunConfiguration, _ communicator: any Communicator) throws {
    let result = try CollectiveBenchmark(settings, repeats: timedSteps, team: try workers.makeTeam(communicator))
    if communicator.rank > 0 { return }
    if json { return try printJSON(result) }
    func milliseconds(_ seconds: [Double]) -> String {
      "\(fixed(seconds[0] * 1000, 2)) ms (median \(fixed(seconds[1] * 1000, 2)))"
    }
    try say(
      "all-reduce of \(fixed(Double(result.bytes) * 1e-6, 1)) MB on \(result.ranks) ranks: "
        + "\(milliseconds(result.seconds)); the library's own sum \(milliseconds(result.librarySeconds)); "
        + "ratio \(fixed(result.ratio, 2))")
  }
}
