import Files
import Foundation
import Parallel
import Tensor

/// A run: epochs of training steps, an evaluation after each, the best epoch's weights tested at the end; checkpoints on
/// the way, from any of which another `Trainer` continues to the same end.
///
/// Of several ranks each has a trainer and all come to the same; rank 0 alone writes and reports.
public final class Trainer {
  /// What does not change a run's result.
  package struct Options: Sendable {
    /// How often a checkpoint is written; there is also one at the end, and one when the run is asked to stop.
    package var interval = CheckpointInterval.seconds(600)
    /// Checkpoints that are kept, at least 1; more, in case the newest is damaged.
    package var keep = 2
    /// Whether to write the digests of each step, for `RunDifference`.
    package var logsDigests = false
    /// What is computed again on other cores, to find those that compute wrongly.
    package var audit: Audit?
    package var onFault = FaultPolicy.avoid
    /// Whether to write event files for TensorBoard.
    package var logsTensorBoard = false

    package init() {}
  }

  public let configuration: RunConfiguration
  let options: Options
  let dataset: Dataset
  private let data: DatasetFingerprint
  let directory: RunDirectory
  let state: TrainingState
  let step: TrainingStep
  /// Computes again what is audited, if anything is.
  let auditor: Auditor?
  let evaluator: Evaluator
  let batches: EpochBatches
  let team: WorkerTeam
  /// Keeps other runs out of the directory, where the trainer itself does.
  private let lock: RunLock?

  /// Writes the run's files, on rank 0; nil on others.
  let recorder: RunRecorder?
  let logs: RunLogs.Kinds
  private let snapshotBytes: Int

  var position = Checkpoint.Position()
  var best: Checkpoint.Best?
  var seconds = 0.0
  /// Checksums of the steps since the last checkpoint, where these are repeated before the next one.
  var sinceCheckpoint = StepTraces(after: 0)
  /// Seats of cores that computed wrongly and are still to be kept out.
  var suspects: Set<Int> = []
  /// Steps and seconds of training since phases were last told.
  var untold = (steps: 0, seconds: 0.0)
  var auditCounts = AuditCounts()
  private var lastSave = ContinuousClock.now
  /// Whether a checkpoint is due that had to wait for the one before.
  private var isSaveDue = false
  var placement: PlacementCheck?
  var stepsPerEpoch: Int { configuration.stepsPerEpoch(trainingSamples: dataset.train.count) }

  /// Plans a run's memory, then replaces what an earlier run left in the directory by this one's settings, or continues
  /// from a checkpoint of it.
  ///
  /// - Parameters:
  ///   - data: the data set's fingerprint, for checkpoints.
  ///   - initial: parameters and prototypes to start from, instead of drawn ones.
  ///   - checkpoint: where to continue; settings and data have to be its own, but for what is allowed to change.
  ///   - lock: keeps other runs out of the directory, as long as the trainer lives.
  /// - Throws: `SettingsError` for settings that contradict one another or the data, `MemoryShortage` and `MemoryError`
  ///   where memory is short, `DataError` for data of another shape, and then nothing was written; `DataError` for a
  ///   directory that can't be written.
  package init(
    _ settings: RunConfiguration, dataset: Dataset, data: DatasetFingerprint, directory: RunDirectory, team: WorkerTeam,
    from checkpoint: Checkpoint? = nil, initial: SafetensorsFile? = nil, options: Options = Options(),
    lock: RunLock? = nil
  ) throws {
    if let contradiction = settings.contradiction(trainingSamples: dataset.train.count) {
      throw SettingsError(description: contradiction)
    }
    for split in [dataset.train, dataset.valid, dataset.test] { try split.requireShape(of: settings) }
    try settings.requireMemory()
    var settings = settings
    settings.optimizer.totalSteps = settings.totalSteps(trainingSamples: dataset.train.count)
    configuration = settings
    self.options = options
    self.lock = lock
    self.dataset = dataset
    self.data = data
    self.directory = directory
    self.team = team
    let snapshots: RunRecorder.Snapshots?
    (state, step, auditor, snapshots) = try MemoryNeed.checking {
      let step = try TrainingStep(settings, dataset: dataset, team: team)
      let state = step.state
      return (
        state, step, try options.audit.map { _ in try Auditor(step) },
        team.ranks.rank == 0 ? RunRecorder.Snapshots(like: state) : nil
      )
    }
    snapshotBytes = snapshots?.bytes ?? 0
    evaluator = Evaluator(step)
    batches = EpochBatches(settings, dataset.train, step)
    let (kinds, model) = (RunLogs.Kinds(options, checkpoint?.record), state.model)
    logs = kinds
    guard let checkpoint else {
      state.initialize(seed: settings.seed)
      if let initial { try state.loadModel(from: initial) }
      recorder = try snapshots.map { snapshots in
        try directory.begin(settings)
        return RunRecorder(
          directory, snapshots, logs: try directory.newLogs(kinds, settings, model), keep: options.keep)
      }
      try recordStart()
      return
    }
    let record = checkpoint.record
    (position, best, seconds) = (record.position, record.best, record.seconds)
    // The best weights are copied out of the state that they are loaded into.
    if let snapshots, best != nil {
      try checkpoint.loadBest(into: state)
      state.withWeights(snapshots.best.take)
    }
    try checkpoint.load(into: state)
    sinceCheckpoint = StepTraces(after: state.step)
    try checkpoint.check(
      stepsPerEpoch: settings.stepsPerEpoch(trainingSamples: dataset.train.count), state: state)
    // Only now is anything of the run changed: its logs are cut back to where the checkpoint was.
    recorder = try snapshots.map { snapshots in
      let logs = try directory.openLogs(kinds, settings, model, of: record)
      return RunRecorder(directory, snapshots, logs: logs, keep: options.keep)
    }
    if let recorder {
      try directory.resume(settings, from: checkpoint)
      if let best { try recorder.writeBest(thresholds: best.thresholds) }
    }
    try recordStart()
  }

  /// Plans a run of this process, into a directory that is made if it is not there.
  ///
  /// - Parameters:
  ///   - settings: such as `RunConfiguration(for: dataset)`.
  ///   - dataset: what it trains on, validates and tests with.
  ///   - output: gets what `train run` writes: settings, log, checkpoints, the best weights, the result.
  ///   - workers: threads; nil for one a physical core. Results do not depend on it.
  ///   - overwrites: whether a run that is there is replaced.
  /// - Throws: `SettingsError`, `MemoryShortage`; `DataError` for a data set of another shape than the settings', or a
  ///   directory that can't be written or has a run;
  ///   `RunLocked` if another run writes to it.
  public convenience init(
    _ settings: RunConfiguration, on dataset: Dataset, output: String, workers: Int? = nil, overwrites: Bool = false
  ) throws {
    var settings = settings
    settings.data = .directory(parentDirectory(of: try absolutePath(dataset.train.path)))
    let directory = RunDirectory(output)
    if !overwrites { try directory.requireReplaceable() }
    let isNew = !FileManager.default.fileExists(atPath: output)
    let lock = try directory.lock()
    do {
      try self.init(
        settings, dataset: dataset, data: DatasetFingerprint(of: dataset), directory: directory,
        team: .alone(workers: workers), lock: lock)
    } catch {
      // A run that can't start leaves nothing.
      if isNew { try? FileManager.default.removeItem(atPath: output) }
      throw error
    }
  }

  private func recordStart() throws {
    try recorder?.append(
      StartRecord(
        step: state.step, workers: team.ranks.workerCount, ranks: team.ranks.size,
        positiveWeights: step.model.configuration.positiveWeights))
  }

  var communicator: any Communicator { team.ranks.communicator }

  /// Of the model that is trained.
  public var parameterCount: Int { step.model.parameterCount }
  /// Memory of this process that steps use, the state included, and what a checkpoint is copied to.
  package var plannedBytes: Int {
    (step.memory + (auditor?.memory ?? [])).reduce(0) { $0 + $1.arena.bytes } + snapshotBytes
  }

  /// Trains to the end, or until it is asked to stop.
  ///
  /// - Parameters:
  ///   - isAsked: asked between steps, and between batches of an evaluation, on every rank: one is enough.
  ///   - tell: hears of each step and evaluation.
  /// - Throws: `Diverged` after a step that was not finite, `NonFiniteScores` where an evaluation is not, `DataError` where writing fails; the last checkpoint stays.
  public func run(shouldStop isAsked: () -> Bool = { false }, report tell: (Progress) -> Void) throws
    -> Outcome
  {
    do {
      return try runToEnd(isAsked, tell)
    } catch let error as Unsettled {
      throw try unsettled(error)
    }
  }

  private func runToEnd(_ isAsked: () -> Bool, _ tell: (Progress) -> Void) throws -> Outcome {
    func shouldStop() -> Bool { communicator.gather(isAsked()).contains(true) }
    func report(_ progress: Progress) { if recorder != nil { tell(progress) } }
    // An error too leaves no file unfinished.
    defer { try? recorder?.wait() }
    if options.audit == .replay, communicator.agree(on: directory.checkpoints.files().isEmpty) { try save() }
    while true {
      if isAtEnd {
        try save()
        // An audit may have found that the run has to go back.
        if isAtEnd { break }
      }
      if !isAtEpochsEnd {
        if shouldStop() { return try stop() }
        try trainOneStep(report)
        noteWhetherSaveIsDue()
        if try isSaveDue(waits: false) { try save() }
        continue
      }
      // Else the best weights of one short epoch after another could keep a checkpoint waiting to the end.
      if try isSaveDue(waits: true) {
        try save()
        if !isAtEpochsEnd { continue }
      }
      guard let live = try validate(unless: shouldStop, report) else { return try stop() }
      var averaged: Validation?
      if state.average != nil {
        averaged = try validate(averaged: true, unless: shouldStop, report)
        if averaged == nil { return try stop() }
      }
      try accept(live, report)
      if let averaged { try accept(averaged, report) }
      position.isEvaluated = true
      // An epoch that the last step cut continues if the run does.
      if position.step == stepsPerEpoch { (position.epoch, position.step) = (position.epoch + 1, 0) }
    }
    try recorder?.wait()
    guard let result = try test(unless: shouldStop, report) else { return try stop() }
    if recorder != nil { try DurableFile.write(json: result, to: directory.result) }
    return .finished(result)
  }

  /// Whether all is trained and evaluated, and only the test is left.
  private var isAtEnd: Bool { position.isEnd(of: configuration, steps: state.step, best: best) }

  private func trainOneStep(_ report: (Progress) -> Void) throws {
    let c = configuration
    let start = ContinuousClock.now
    let batch = batches.fill(epoch: position.epoch, step: position.step)
    let (result, faults) = try trainAudited(on: batch)
    try record(faults)
    // What is not finite may be a core's fault, in this step or before.
    if !result.isFinite, options.audit == .replay {
      try recorder?.wait()
      guard try confirmByReplay() else { return }
    }
    let digests = try gatherDigests(result)
    if result.isFinite { position.skips = 0 } else { try skipOrStop(batch, report) }
    position.step += 1
    position.isEvaluated = false
    let elapsed = (ContinuousClock.now - start).seconds
    seconds += elapsed
    untold = (untold.steps + 1, untold.seconds + elapsed)
    let record = StepRecord(
      event: "step", step: state.step, epoch: position.epoch, loss: result.loss,
      terms: Dictionary(uniqueKeysWithValues: result.terms.map { ($0.key.rawValue, $0.value) }),
      learningRate: result.rate, gradientNorm: step.gradientNorm, samplesPerSecond: Double(c.batchSize) / elapsed)
    try recorder?.append(step: record, step)
    if let digests { try recorder?.append(digests: digests) }
    if logs.tensorBoard && result.isFinite && isAtEpochsEnd {
      step.gatherGradients()
      try recorder?.appendDistributions(step)
    }
    report(.step(record))
    if isAtEpochsEnd { try recorder?.append(takePhases()) }
    try act(on: faults)
    if placement == nil {
      // Now all memory has been touched.
      let check = step.checkPlacement()
      try recorder?.append(
        PlacementRecord(
          step: state.step, workers: team.placement.workers, check: check, traffic: step.trafficBetweenNodes))
      placement = check
    }
  }

  /// What the time of the steps since the last record went into.
  private func takePhases() -> PhasesRecord {
    defer { untold = (0, 0) }
    return PhasesRecord(
      step: state.step, epoch: position.epoch, steps: untold.steps, seconds: untold.seconds, phases: step.times.take())
  }

  /// Whether an evaluation comes next.
  private var isAtEpochsEnd: Bool { position.step >= stepsPerEpoch || state.step >= configuration.optimizer.totalSteps }

  /// The digests of the step that was just taken, on rank 0, if they are logged; before its buffers are used again. All
  /// ranks have to call it.
  private func gatherDigests(_ result: StepResult) throws -> StepDigests? {
    guard logs.digests else { return nil }
    step.gatherGradients()
    return recorder == nil ? nil : StepDigests(result, step)
  }

  /// The step that was just taken changed nothing: its loss or gradients are not finite.
  private func skipOrStop(_ batch: Batch, _ report: (Progress) -> Void) throws {
    let found = step.findNonFinite(in: batch)
    let skipped = configuration.onNonFinite == .skip && position.skips < RunConfiguration.maximumSkips
    let record = NonFiniteRecord(
      event: "nonfinite", step: state.step + 1, epoch: position.epoch, found: found, skipped: skipped)
    try recorder?.append(record)
    guard skipped else {
      try save()
      try recorder?.wait()
      throw Diverged(
        step: state.step + 1, found: found, checkpoint: directory.checkpoints.file(state.step), skips: position.skips)
    }
    position.skips += 1
    state.step += 1
    report(.skipped(record))
  }

  // MARK: Checkpoints

  /// Notes after a step whether a checkpoint is due.
  private func noteWhetherSaveIsDue() {
    switch options.interval {
    case .steps(let steps): isSaveDue = isSaveDue || state.step % steps == 0
    case .seconds(let seconds): isSaveDue = (ContinuousClock.now - lastSave).seconds >= seconds
    }
  }

  /// Whether a checkpoint that is due is to be written now: while a file is still being written only if it waits for that.
  private func isSaveDue(waits: Bool) throws -> Bool {
    try recorder?.check()
    return communicator.agree(on: isSaveDue && (waits || !(recorder?.isBusy ?? false)))
  }

  /// Copies the state, then writes it in the background; where audits repeat the steps before, only if these prove it, and
  /// otherwise the run goes back to the last checkpoint. All ranks have to call it.
  func save() throws {
    try recorder?.wait()
    isSaveDue = false
    lastSave = .now
    guard try confirmByReplay() else { return }
    sinceCheckpoint = StepTraces(after: state.step)
    avoidSuspects()
    step.gatherMoments()
    try recorder?.save(state) { metricsBytes, digestsBytes, eventBytes in
      Checkpoint.Record(
        step: state.step, position: position, best: best, configuration: configuration, data: data,
        stepsPerEpoch: stepsPerEpoch, metricsBytes: metricsBytes, digestsBytes: digestsBytes, eventBytes: eventBytes,
        seconds: seconds)
    }
  }

  /// Ends with a checkpoint of the present state.
  private func stop() throws -> Outcome {
    // A test may have put the best weights in the place of the last ones; those are on disk already.
    if !isAtEnd { try save() }
    try recorder?.wait()
    return .stopped(step: state.step, checkpoint: directory.checkpoints.file(state.step))
  }
}
