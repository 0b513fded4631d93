import ArgumentParser
import Files
import Foundation
import Logging
import Model
import Parallel

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a model, evaluate it after each epoch, test the best epoch at the end.",
    discussion: """
        train run --data DIR --output RUN --epochs 20 --batch-size 64 --lr 5e-5

      With --data it trains on your data set, without on a generated one. The defaults are the configuration of CARAT's \
      released code, with padding left out; --preset released has padding attended too, as the code does. \
      Options' defaults are those of a new run without --preset and --config.

      The output directory gets config.json (all settings), metrics.jsonl (one JSON object a step and one an \
      evaluation), checkpoints (from which --resume continues), best.safetensors (the weights of the epoch that is best on \
      the validation split, see --best-by, under their PyTorch names) and, at the end, result.json. Only \
      --overwrite replaces a run that is there, or other files of these names. Without --output a run gets a \
      directory of its own, runs/<date-time>, and runs/latest is a link to the newest.

      SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGHUP and Control-C end a run after the present step, with a checkpoint; a \
      second Control-C ends it at once.

      At its end a run prints the SHA-256 of all that training changes. It is the same for any number of workers, \
      stopped and resumed or not.
      """)

  @OptionGroup(title: "What most runs need") var basics: BasicOptions
  @OptionGroup(title: "What is printed and logged") var printing: PrintingOptions
  @OptionGroup(title: "Checkpoints, stopping and resuming") var checkpoints: CheckpointOptions
  @OptionGroup(title: "Cores that compute wrongly") var audits: AuditOptions
  @OptionGroup(title: "Training") var training: TrainingOptions
  @OptionGroup(title: "Workers") var workers: WorkerOptions
  @OptionGroup(title: "Workers") var ranks: RankOptions
  @OptionGroup(title: "Model and loss") var model: ModelOptions
  @OptionGroup(title: "Generated data, without --data") var generation: GenerationOptions

  func validate() throws {
    for (option, path) in [
      ("--output", basics.output), ("--data", basics.data), ("--config", training.config), ("--init", training.`init`),
    ]
    where path == "" {
      throw ValidationError("\(option) is empty: expected a path; a variable of the shell may not be set.")
    }
    if let keep = checkpoints.keep, keep < 1 { throw ValidationError("--keep must be at least 1, not \(keep).") }
    if !(0...255).contains(checkpoints.requeueExit) {
      throw ValidationError("--requeue-exit must be between 0 and 255, not \(checkpoints.requeueExit).")
    }
    if training.`init` != nil && basics.resume == .required {
      throw ValidationError("--init goes with a new run, not with --resume.")
    }
    if basics.overwrite && basics.resume != nil {
      throw ValidationError("--overwrite replaces a run, --resume continues with it: give one of them.")
    }
    if basics.overwrite && basics.output == nil {
      throw ValidationError(
        "--overwrite replaces a run in --output: give that too. A run without --output gets a directory of its own.")
    }
    if basics.data != nil, let contradiction = generation.contradiction(with: "--data") {
      throw ValidationError(contradiction + ".")
    }
    // Otherwise they change what a settings file or a checkpoint says.
    if basics.data == nil && training.config == nil && basics.resume != .required { _ = try generation.settings() }
    if checkpoints.schedule != nil && basics.resume == nil { throw ValidationError("--schedule goes with --resume.") }
    if checkpoints.allowChanged != nil && basics.resume == nil {
      throw ValidationError("--allow-changed goes with --resume.")
    }
    let unknown = allowed.subtracting(SettingsDifference.changeable)
    if let name = unknown.sorted().first {
      let names = SettingsDifference.changeable.sorted().joined(separator: ", ")
      throw ValidationError("--allow-changed does not know \(name), or it can't change; what can: \(names).")
    }
  }

  func run() throws {
    let communicator = try ranks.join()
    let isFirst = communicator.rank == 0
    let interruption = Interruption(tells: isFirst)
    let (found, isOwn) = place(communicator)
    var directory = found
    let isNew = isOwn || !directory.isThere
    var lock: RunLock?
    if isFirst && basics.resume != nil && !isNew { lock = try directory.lock() }
    // A directory of the run's own is made when all is known to be right, beside others of that second.
    let checkpoint = isOwn ? nil : try openCheckpoint(directory)
    let inputs = try checkpoint.map { try resumedInputs($0, directory) } ?? newInputs(directory)
    try requireAgreement(communicator, inputs.settings, checkpoint)
    if let checkpoint, try tellResult(of: checkpoint, inputs, directory, communicator) { return }
    if isOwn {
      // One that no other run has taken meanwhile, of which all ranks hear.
      let path = isFirst ? try directory.makeOwn().path : ""
      directory = RunDirectory(communicator.gather(path)[0])
    }
    if isFirst && lock == nil {
      lock = try directory.lock()
      // Another run may have come and gone.
      if !basics.overwrite { try directory.requireReplaceable(isResumed: basics.resume != nil) }
    }
    let team: WorkerTeam
    let trainer: Trainer
    let dataset: Dataset
    do {
      dataset = try inputs.dataset ?? generate(inputs.settings, directory, communicator)
      if inputs.dataset == nil { try checkpoint.map { try requireSame(dataset, as: $0) } }
      let fingerprint = try inputs.fingerprint ?? DatasetFingerprint(of: dataset)
      try communicator.requireAgreement(on: [("the data set", JSON.line(fingerprint))])
      team = try workers.makeTeam(communicator)
      trainer = try Trainer(
        inputs.settings, dataset: dataset, data: fingerprint, directory: directory, team: team, from: checkpoint,
        initial: checkpoint == nil ? training.`init`.map { try SafetensorsFile(path: $0) } : nil,
        options: options, lock: lock)
    } catch {
      // A run that can't start leaves nothing, generated data included.
      if isNew && isFirst { try? FileManager.default.removeItem(atPath: directory.path) }
      if isOwn && isFirst { rmdir(RunDirectory.parent) }
      throw error
    }
    if isOwn && isFirst, let reason = directory.becomeLatest() {
      Logger(label: "carat.output").warning("\(reason); this run is in \(directory.path)")
    }
    let reachable = isFirst ? SyntheticDataset.Reachable(of: dataset.test) : nil
    var progress = ProgressLines(trainer.configuration, trainingSamples: dataset.train.count, isQuiet: printing.quiet)
    if isFirst {
      progress.begin(
        dataset, trainer: trainer, team: team, directory: directory, reachable: reachable, checkpoint: checkpoint,
        schedule: inputs.scheduleLine)
    }
    let outcome = try trainer.run(shouldStop: { interruption.signalNumber != nil }) { progress.report($0) }
    switch outcome {
    case .finished(let result):
      guard isFirst else { return }
      try tell(result, progress, directory, reachable)
    case .stopped(let step, let checkpoint):
      // Of several ranks, the signal may have reached one only.
      let numbers = communicator.gather(interruption.signalNumber ?? 0)
      let number = numbers.first { $0 != 0 } ?? SIGTERM
      if isFirst {
        progress.stop(step: step, checkpoint: checkpoint)
        // The status tells a batch script that there is a checkpoint, whoever reads the line.
        if printing.json {
          try? printJSON(JSONStop(stopped: Interruption.names[number] ?? "", step: step, checkpoint: checkpoint))
        }
      }
      throw ExitCode(number == SIGINT ? 128 + SIGINT : checkpoints.requeueExit)
    }
  }

  /// Where the run writes, as rank 0 finds it, and whether that is a name for a directory of its own, still to be made.
  private func place(_ communicator: any Communicator) -> (directory: RunDirectory, isOwn: Bool) {
    let latest = RunDirectory(RunDirectory.latest)
    // A link to a run that was removed is no run.
    let isLatest = FileManager.default.fileExists(atPath: latest.path)
    let isOwn = communicator.agree(
      on: basics.output == nil && (basics.resume == nil || basics.resume == .auto && !isLatest))
    // Links are followed now: `latest` may lead elsewhere before the run ends.
    let found = isOwn ? RunDirectory.named() : (basics.output.map(RunDirectory.init) ?? latest).followed
    return (RunDirectory(communicator.gather(found.path)[0]), isOwn)
  }

  /// - Throws: `RanksDiffer` unless all ranks were started with the same.
  private func requireAgreement(
    _ communicator: any Communicator, _ settings: RunConfiguration, _ checkpoint: Checkpoint?
  ) throws {
    let place = basics.output ?? RunDirectory.parent
    var options = [
      (name: "the newest checkpoint", value: checkpoint.map { "that of step \($0.record.step)" } ?? "none"),
      ("--log-digests", "\(printing.logDigests)"), ("--tensorboard", "\(printing.tensorBoard)"),
      ("--audit-every and --audit", "\(audits.kind.map { "\($0)" } ?? "none")"),
      ("--on-fault", "\(audits.onFault?.rawValue ?? "")"), ("--output", (try? absolutePath(place)) ?? place),
    ]
    if let path = training.`init` { options.append(("--init", try JSON.line(DatasetFingerprint(files: [path])))) }
    try communicator.requireAgreement(on: settings, and: options)
  }

  private var options: Trainer.Options {
    var options = Trainer.Options()
    set(&options.interval, checkpoints.checkpointEvery)
    set(&options.keep, checkpoints.keep)
    options.logsDigests = printing.logDigests
    options.audit = audits.kind
    set(&options.onFault, audits.onFault)
    options.logsTensorBoard = printing.tensorBoard
    return options
  }
}

extension CheckpointInterval: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

extension RunConfiguration.NonFinitePolicy: ExpressibleByArgument {}
extension ScheduleChange: ExpressibleByArgument {}
extension FaultPolicy: ExpressibleByArgument {}
extension SelectionMetric: ExpressibleByArgument {}
extension Preset: ExpressibleByArgument {}
