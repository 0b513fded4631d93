import ArgumentParser
import Benchmark
import Files
import Model
import Parallel
import Tensor

struct Scale: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how step times scale with workers, and with ranks where mpirun or srun started several.",
    discussion: """
      Strong scaling keeps the batch; weak scaling keeps --batch-size for each worker, so the batch grows with the \
      workers, and the contrastive loss, which compares all rows with all, with their square. Configurations are \
      measured in turn, round by round; ratios are of the same round. Writes scaling.jsonl (the machine, measurements, \
      summaries) and scaling.csv (a row a configuration). scripts/plot-scaling draws them.

      With --emulate the table shows what a step would take on more cores than there are, from the slowest worker of each \
      phase; with --output too, scaling.jsonl gets a record of each number of workers, from which scripts/fit-scaling \
      predicts larger machines. It knows imbalance, extra work and cold caches; memory's bandwidth, links, clocks and \
      barriers it does not.
      """)

  @Option("Directory for scaling.jsonl and scaling.csv, which are replaced.", value: "directory")
  var output: String?

  @Option(
    "Numbers of workers of a larger machine, which this one emulates: as many run, one at a time within a phase.",
    value: "n,…")
  var emulate: String?

  @Option("NUMA nodes of the machine that is emulated.", value: "n")
  var emulateNodes = 1

  @Option(
    "With --emulate: mean length of the sequences, of the full length; a sample's is drawn evenly from the widest "
      + "range around it.", value: "share")
  var meanLength = 1.0

  @Flag(help: "With --emulate: end with one JSON object.")
  var json = false

  @Option(
    "Numbers of threads, of each rank; by default powers of 2 up to the physical cores that every rank has, and these.",
    value: "n,…")
  var workers: String?

  @Option("Kinds of scaling: strong, weak, or both.", value: "mode,…")
  var mode = "strong,weak"

  @Option("How often each configuration is measured.", value: "n")
  var repeats = 3

  @Option("Timed steps of a measurement, after two that are not.", value: "n")
  var timedSteps = 5

  @Option("Seed of all random values.", value: "n")
  var seed: UInt64 = 1

  @OptionGroup var sizes: BatchOptions
  @OptionGroup(title: "Workers") var placement: PlacementOptions
  @OptionGroup(title: "Workers") var ranks: RankOptions
  @OptionGroup(title: "Model and loss") var model: ModelOptions

  func validate() throws {
    for (option, value) in [("--repeats", repeats), ("--timed-steps", timedSteps)] {
      guard (1...1_000_000).contains(value) else {
        throw ValidationError("\(option) must be between 1 and 1000000, not \(value).")
      }
    }
    _ = try (counts(upTo: 1), modes())
    guard meanLength > 0, meanLength <= 1 else {
      throw ValidationError("--mean-length must be above 0 and at most 1, not \(meanLength).")
    }
    if emulate != nil {
      if let emulated = try emulated().first, !(1...emulated).contains(emulateNodes) {
        throw ValidationError(
          "--emulate-nodes must be between 1 and the fewest workers of --emulate, \(emulated), not \(emulateNodes).")
      }
      let others = [
        ("--workers", workers != nil), ("--mode", mode != "strong,weak"),
        ("--repeats", repeats != 3),
      ]
      if let other = others.first(where: \.1) {
        throw ValidationError(
          "--emulate measures one kind of scaling, once; it does not go with \(other.0).")
      }
      if Launcher.announced.size > 1 {
        throw ValidationError("--emulate is for one process; start it without mpirun or srun.")
      }
    } else {
      if output == nil {
        throw ValidationError("Missing expected argument '--output <directory>', or '--emulate <n,…>'.")
      }
      let others = [("--json", json), ("--mean-length", meanLength != 1), ("--emulate-nodes", emulateNodes != 1)]
      if let other = others.first(where: \.1) { throw ValidationError("\(other.0) goes with --emulate only.") }
    }
  }

  /// Without repeats, in rising order; by default up to so many.
  private func counts(upTo limit: Int) throws -> [Int] {
    guard let workers else {
      return Set((0..<Int.bitWidth - 1).map { 1 << $0 }.prefix { $0 < limit } + [limit]).sorted()
    }
    return Set(try wholeNumbers(workers, count: nil, option: "--workers", in: 1...WorkerTeam.maxCount)).sorted()
  }

  /// Numbers of workers to emulate, in rising order.
  private func emulated() throws -> [Int] {
    Set(try wholeNumbers(emulate ?? "", count: nil, option: "--emulate", in: 1...WorkerTeam.maxEmulatedCount)).sorted()
  }

  private func modes() throws -> [ScalingExperiment.Mode] {
    let names = Set(mode.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
    let modes = ScalingExperiment.Mode.allCases.filter { names.contains($0.rawValue) }
    guard modes.count == names.count else {
      throw ValidationError("--mode takes strong, weak or both separated by a comma, not '\(mode)'.")
    }
    return modes
  }

  func run() throws {
    var settings = try sizes.settings(model)
    settings.seed = seed
    if emulate != nil { return try emulate(settings) }
    guard let output else { preconditionFailure("neither --output nor --emulate") }
    let communicator = try ranks.join()
    let counts = try counts(upTo: fewestWorkers(communicator))
    try communicator.requireAgreement(
      on: settings,
      and: [
        ("--workers", "\(counts)"), ("--mode", mode),
        ("--repeats", "\(repeats)"), ("--timed-steps", "\(timedSteps)"),
      ])
    let experiment = try ScalingExperiment(
      settings, workers: counts, modes: try modes(), ranks: communicator.size)
    let machine = MachineDescription(communicator: communicator)
    let files = communicator.rank == 0 ? try ScalingFiles(directory: output, machine: machine) : nil
    var told = Set<Int>()
    let measurements = try experiment.run(repeats: repeats, steps: timedSteps) { count in
      try placement.makeTeam(workers: count, communicator, announces: told.insert(count).inserted)
    } report: { measurement in
      try files?.append(measurement)
      // Of the files, this is only the progress.
      if communicator.rank == 0 { try? say(line(measurement)) }
    }
    guard let files else { return }
    let summaries = ScalingSummary.summaries(of: measurements)
    try files.finish(summaries)
    for line in table(summaries) { try say(line) }
    try say("written: \(files.records), \(files.table)")
  }

  private func emulate(_ settings: RunConfiguration) throws {
    let files = try output.map {
      try ScalingFiles(
        directory: $0, machine: MachineDescription(communicator: SoloCommunicator()))
    }
    let result = try EmulatedScaling(
      settings, workers: emulated(), nodes: emulateNodes, steps: timedSteps, meanLength: meanLength
    ) { point in
      try files?.append(point)
      try say(
        "\(point.workers) worker\(point.workers == 1 ? "" : "s") on \(point.nodes) node\(point.nodes == 1 ? "" : "s"): "
          + "\(fixed(point.secondsPerStep * 1000, 2)) ms per step, speed-up \(fixed(point.speedup, 1)), "
          + "efficiency \(fixed(point.efficiency * 100, 1)) %")
      let rows = point.phases.sorted { $0.value.order < $1.value.order }.map { name, phase in
        [name] + [phase.slowest, phase.mean, phase.total].map { fixed($0 * 1000, 2) }
          + [fixed(phase.slowest / max(phase.mean, 1e-12), 2)]
      }
      for line in aligned([["phase", "slowest ms", "mean ms", "total ms", "slowest/mean"]] + rows) {
        try say("  " + line)
      }
    }
    try say(
      "one worker: \(fixed(result.oneWorkerSeconds, 4)) s per step, \(fixed(result.oneWorkerStep, 4)) by the clock")
    if let files {
      try files.finish()
      try say("written: \(files.records)")
    }
    if json { try printJSON(result) }
  }

  /// Workers of the rank that has room for the fewest: all ranks have to measure the same configurations.
  private func fewestWorkers(_ communicator: any Communicator) -> Int {
    let own = MachineShare(communicator).defaultWorkers
    return communicator.gather("\(own)").compactMap { Int($0) }.min() ?? own
  }

  private func line(_ m: ScalingMeasurement) -> String {
    "round \(m.round + 1) of \(repeats), \(m.mode.rawValue), \(m.workers) worker\(m.workers == 1 ? "" : "s"): "
      + "\(fixed(m.secondsPerStep, 4)) s per step, \(fixed(m.sgemmShare * 100, 1)) % of sgemm"
  }

  private func table(_ summaries: [ScalingSummary]) -> [String] {
    func spread(_ s: Spread, _ digits: Int, times scale: Double = 1) -> String {
      "\(fixed(s.median * scale, digits)) (\(fixed(s.least * scale, digits)) to \(fixed(s.greatest * scale, digits)))"
    }
    let head = [
      "mode", "workers", "ranks", "batch", "s per step", "speed-up", "efficiency %", "of sgemm %",
    ]
    let rows = summaries.map { s in
      [s.mode.rawValue] + [s.workers, s.ranks, s.batchSize].map(String.init) + [
        spread(s.secondsPerStep, 4), spread(s.speedup, 2), spread(s.efficiency, 1, times: 100),
        fixed(s.sgemmShare.median * 100, 1),
      ]
    }
    return aligned([head] + rows)
  }
}
