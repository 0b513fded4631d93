import ArgumentParser
import Model

/// What most runs need: data, output, and the settings that nearly everybody gives.
struct BasicOptions: ParsableArguments {
  @Option("Data set: a directory with train, valid and test.safetensors.", value: "directory")
  var data: String?

  @Option(
    "Directory for what the run writes. Without it, one of the run's own, runs/<date-time>, to which runs/latest is a "
      + "link; with --resume, runs/latest.", value: "directory")
  var output: String?

  @Option(
    defaultAsFlag: Resume.required,
    help: ArgumentHelp(
      "Continue from the newest whole checkpoint in --output, with the settings of the run. Others that are given are "
        + "refused, unless --allow-changed names them. A finished run says its result. "
        + "`--resume auto` starts anew where there is none.", valueName: "auto"))
  var resume: Resume?

  @Flag(help: "Replace what is in --output: a run, finished or not, and other files of its files' names.")
  var overwrite = false

  @Option(
    "Named settings that options and --config change: released, paper, m3ed, unaligned, small.", value: "name")
  var preset: Preset?

  @Option(Setting.epochs) var epochs: Int?

  @Option(Setting.batchSize) var batchSize: Int?

  @Option(Setting.learningRate, also: "lr") var learningRate: Double?

  @Option(Setting.seed) var seed: UInt64?

  enum Resume: String, ExpressibleByArgument, CaseIterable, CustomStringConvertible {
    case required = "newest"
    case auto

    var description: String { rawValue }
  }
}

/// What a run trains with, besides what nearly everybody gives.
struct TrainingOptions: ParsableArguments {
  @Option("Modalities to train on, of those in the data; by default all.", value: "name,…")
  var modalities: String?

  @Option(
    "Settings as JSON, all or some, such as a run's config.json; options on the command line override it.",
    value: "file")
  var config: String?

  @Option(
    "Weights to start from, parameters and prototypes under their PyTorch names, such as scripts/weights makes.",
    value: "file")
  var `init`: String?

  @Option(Setting.maxSteps) var maxSteps: Int?

  @Option(Setting.warmup) var warmup: Double?

  @Option(Setting.weightDecay) var weightDecay: Float?

  @Option(Setting.threshold) var threshold: Float?

  @Option(Setting.bestBy) var bestBy: SelectionMetric?

  @Option(Setting.patience) var patience: Int?

  @Option(Setting.onNonFinite) var onNonfinite: RunConfiguration.NonFinitePolicy?

  @Option(Setting.tuneThreshold) var tuneThreshold: ThresholdTuning?

  @Option(Setting.averageWeights) var averageWeights: Double?

  @Option(Setting.microBatches) var accumulate: Int?
}

/// When a run's state is kept, and what may change when it continues.
struct CheckpointOptions: ParsableArguments {
  @Option(
    "With --resume: settings that may differ from those of the run, by the names of their options; data; maximum-norm (of a --config).",
    value: "name,…")
  var allowChanged: String?

  @Option(
    "With --resume and another number of steps, learning rate or warm-up: continue (the learning rate continues without a "
      + "jump, and falls linearly to 0 at the new end) or restart (a warm-up and a fall over the steps that remain). "
      + "Without it the rate is that of a run of the new length.", value: "continue|restart")
  var schedule: ScheduleChange?

  @Option(
    "How often a checkpoint is written: a number of steps (500) or a time (30s, 10m, 1h).", value: "interval",
    base: Trainer.Options().interval)
  var checkpointEvery: CheckpointInterval?

  @Option("Checkpoints that are kept, the newest.", value: "n", base: Trainer.Options().keep)
  var keep: Int?

  @Option(
    "Exit status after SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU or SIGHUP, once a checkpoint is written: what tells a batch "
      + "script to requeue.", value: "status")
  var requeueExit: Int32 = 0
}

/// How far cores are trusted.
struct AuditOptions: ParsableArguments {
  @Option(
    "Compute the gradients of every n-th step once more on other cores before they are applied, to find cores that compute "
      + "wrongly; costs the n-th part of the time.", value: "n")
  var auditEvery: Int?

  @Option(
    "replay: repeat all steps since the last checkpoint on other cores before the next one is written. Takes twice the time; "
      + "a fault in any step is found, and the run goes back to the checkpoint.", value: "replay")
  var audit: Replay?

  @Option(
    "What to do about a core that computed otherwise than two others: avoid (it gets no more work) or stop (with a checkpoint).",
    value: "avoid|stop", base: FaultPolicy.avoid.rawValue)
  var onFault: FaultPolicy?

  enum Replay: String, ExpressibleByArgument, CaseIterable { case replay }

  func validate() throws {
    if let auditEvery, auditEvery < 1 { throw ValidationError("--audit-every must be at least 1, not \(auditEvery).") }
    if auditEvery != nil && audit != nil {
      throw ValidationError("--audit replay covers every step: give it or --audit-every.")
    }
    if onFault != nil && auditEvery == nil && audit == nil {
      throw ValidationError("--on-fault goes with --audit-every or --audit replay.")
    }
  }

  var kind: Audit? { audit != nil ? .replay : auditEvery.map(Audit.every) }
}

/// What a run tells.
struct PrintingOptions: ParsableArguments {
  @Flag(help: "Print the result as one JSON object on the last line.")
  var json = false

  @Flag(help: "Print the result only, nothing during the run.")
  var quiet = false

  @Flag(help: "Write the digest of each step's loss terms, gradients and parameters, for `train diff`.")
  var logDigests = false

  @Flag(
    name: .customLong("tensorboard"),
    help: ArgumentHelp(
      "Write event files for TensorBoard into tensorboard/ in the run's directory: losses, gradient norms, metrics, "
        + "histograms, curves of precision and recall."))
  var tensorBoard = false
}
