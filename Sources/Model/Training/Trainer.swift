import Files
import Foundation
import Parallel
import Tensor

/// A run: epochs of training steps, an evaluation after each, the best epoch's weights tested at the end; checkpoints on
/// the way, from any of which another `Trainer` goes on to the same end.
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

    package init() {}
  }

  public let configuration: RunConfiguration
  private let options: Options
  private let dataset: Dataset
  private let data: DatasetFingerprint
  private let directory: RunDirectory
  private let state: TrainingState
  private let step: TrainingStep
  private let evaluator: Evaluator
  private let batch: Batch
  private let team: WorkerTeam
  /// Keeps other runs out of the directory, where the trainer itself does.
  private var lock: RunLock?

  /// Writes the run's files, on rank 0; nil on others.
  private let recorder: RunRecorder?
  private let logsDigests: Bool
  private let snapshotBytes: Int

  private var position = Checkpoint.Position()
  private var best: Checkpoint.Best?
  private var seconds = 0.0
  private var lastSave = ContinuousClock.now
  /// Whether a checkpoint is due that had to wait for the one before.
  private var isSaveDue = false
  private var placement: PlacementCheck?
  private var stepsPerEpoch: Int { configuration.stepsPerEpoch(trainingSamples: dataset.train.count) }

  /// Plans a run's memory, then replaces what an earlier run left in the directory by this one's settings, or goes on
  /// from a checkpoint of it.
  ///
  /// - Parameters:
  ///   - data: the data set's fingerprint, for checkpoints.
  ///   - initial: parameters and prototypes to start from, instead of drawn ones.
  ///   - checkpoint: where to go on; settings and data have to be its own, but for what is allowed to change.
  /// - Throws: `SettingsError` for settings that contradict one another or the data, `MemoryShortage` and `MemoryError`
  ///   where memory is short, `DataError` for data of another shape, and then nothing was written; `DataError` for a
  ///   directory that can't be written.
  package init(
    _ settings: RunConfiguration, dataset: Dataset, data: DatasetFingerprint, directory: RunDirectory, team: WorkerTeam,
    from checkpoint: Checkpoint? = nil, initial: SafetensorsFile? = nil, options: Options = Options()
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
    self.dataset = dataset
    self.data = data
    self.directory = directory
    self.team = team
    let snapshots: RunRecorder.Snapshots?
    (state, step, snapshots) = try MemoryNeed.checking {
      let state = try TrainingState(CARATModel(settings.model), placement: team.placement)
      let step = try TrainingStep(
        state, optimizer: settings.optimizer, batchSize: settings.batchSize, team: team, seed: settings.seed)
      return (state, step, team.ranks.rank == 0 ? RunRecorder.Snapshots(like: state) : nil)
    }
    snapshotBytes = snapshots?.bytes ?? 0
    evaluator = Evaluator(step)
    batch = Batch(settings.model, capacity: settings.batchSize)
    logsDigests = options.logsDigests || checkpoint?.record.digestsBytes != nil
    guard let checkpoint else {
      state.initialize(seed: settings.seed)
      if let initial { try state.loadModel(from: initial) }
      recorder = try snapshots.map { snapshots in
        try directory.begin(settings)
        return RunRecorder(
          directory, snapshots, logs: try directory.newLogs(digests: options.logsDigests), keep: options.keep)
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
    try checkpoint.check(
      stepsPerEpoch: settings.stepsPerEpoch(trainingSamples: dataset.train.count), state: state)
    // Only now is anything of the run changed: its logs are cut back to where the checkpoint was.
    let logsDigests = logsDigests
    recorder = try snapshots.map { snapshots in
      let logs = try directory.openLogs(of: record, digests: logsDigests)
      return RunRecorder(directory, snapshots, logs: logs, keep: options.keep)
    }
    if let recorder {
      try directory.goOn(settings, from: checkpoint)
      if best != nil { recorder.writeBest() }
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
    let lock = try directory.lock()
    try self.init(
      settings, dataset: dataset, data: DatasetFingerprint(of: dataset), directory: directory,
      team: .alone(workers: workers))
    self.lock = lock
  }

  private func recordStart() throws {
    try recorder?.append(
      StartRecord(
        step: state.step, workers: team.ranks.workerCount, ranks: team.ranks.size, environment: .current))
  }

  private var communicator: any Communicator { team.ranks.communicator }

  /// Of the model that is trained.
  public var parameterCount: Int { step.model.parameterCount }
  /// Memory of this process that steps use, the state included, and what a checkpoint is copied to.
  package var plannedBytes: Int {
    step.memory.reduce(0) { $0 + $1.arena.bytes } + snapshotBytes
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
    func shouldStop() -> Bool { communicator.gather(isAsked()).contains(true) }
    func report(_ progress: Progress) { if recorder != nil { tell(progress) } }
    // An error too leaves no file unfinished.
    defer { try? recorder?.wait() }
    while !isAtEnd {
      let order = sampleOrder(epoch: position.epoch)
      while position.step < stepsPerEpoch && state.step < configuration.optimizer.totalSteps {
        if shouldStop() { return try stop() }
        try trainOneStep(order, report)
        try saveIfDue()
      }
      // Else the best weights of one short epoch after another could keep a checkpoint waiting to the end.
      try saveIfDue(waits: true)
      guard let valid = try validate(unless: shouldStop, report) else { return try stop() }
      try accept(valid, report)
      position.isEvaluated = true
      // An epoch that the last step cut goes on if the run does.
      if position.step == stepsPerEpoch { (position.epoch, position.step) = (position.epoch + 1, 0) }
    }
    try save()
    try recorder?.wait()
    guard let result = try test(unless: shouldStop, report) else { return try stop() }
    if recorder != nil { try DurableFile.write(json: result, to: directory.result) }
    return .finished(result)
  }

  /// Whether all is trained and evaluated, and only the test is left.
  private var isAtEnd: Bool { position.isEnd(of: configuration, steps: state.step, best: best) }

  private func trainOneStep(_ order: [Int], _ report: (Progress) -> Void) throws {
    let c = configuration
    let start = ContinuousClock.now
    let first = position.step * c.batchSize
    let next = first + c.batchSize
    batch.fill(order[first..<next], of: dataset.train)
    batch.shuffle.draw(seed: c.seed, step: state.step)
    dataset.train.prepare(
      step.own(order[next..<min(next + c.batchSize, order.count)]),
      done: step.own(order[max(0, first - c.batchSize)..<first]))
    let result = step.train(on: batch)
    let digests = try gatherDigests(result)
    if result.isFinite { position.skips = 0 } else { try skipOrStop(report) }
    position.step += 1
    position.isEvaluated = false
    let elapsed = (ContinuousClock.now - start).seconds
    seconds += elapsed
    let record = StepRecord(
      event: "step", step: state.step, epoch: position.epoch, loss: result.loss,
      terms: Dictionary(uniqueKeysWithValues: result.terms.map { ($0.key.rawValue, $0.value) }),
      learningRate: result.rate, samplesPerSecond: Double(c.batchSize) / elapsed)
    try recorder?.append(record)
    if let digests { try recorder?.append(digests: digests) }
    report(.step(record))
    if placement == nil {
      // Now all memory has been touched.
      let check = step.checkPlacement()
      try recorder?.append(
        PlacementRecord(
          step: state.step, workers: team.placement.workers, check: check, traffic: step.trafficBetweenNodes))
      placement = check
    }
  }

  /// The digests of the step that was just taken, on rank 0, if they are logged; before its buffers are used again. All
  /// ranks have to call it.
  private func gatherDigests(_ result: StepResult) throws -> StepDigests? {
    guard logsDigests else { return nil }
    step.gatherGradients()
    return recorder == nil ? nil : StepDigests(result, step)
  }

  /// The step that was just taken changed nothing: its loss or gradients are not finite.
  private func skipOrStop(_ report: (Progress) -> Void) throws {
    let found = step.findNonFinite(in: batch)
    let skipped = configuration.onNonFinite == .skip && position.skips < RunConfiguration.maximumSkips
    let record = NonFiniteRecord(
      event: "nonfinite", step: state.step + 1, epoch: position.epoch, found: found, skipped: skipped)
    try recorder?.append(record)
    guard skipped else {
      try save()
      try recorder?.wait()
      throw Diverged(step: state.step + 1, found: found, checkpoint: directory.checkpoints.file(state.step))
    }
    position.skips += 1
    state.step += 1
    report(.skipped(record))
  }

  /// The validation split's metrics after an epoch; nil if it was stopped. What can't be measured is no reason to lose the
  /// epoch: it is saved first.
  private func validate(unless shouldStop: () -> Bool, _ report: (Progress) -> Void) throws -> EvaluationMetrics? {
    do {
      let split = dataset.valid
      return try evaluator.metrics(of: split, threshold: configuration.threshold, unless: shouldStop) {
        report(.evaluating(split: "valid", done: $0, count: split.count))
      }
    } catch let error as NonFiniteScores {
      try save()
      try recorder?.wait()
      throw error
    }
  }

  /// Records an epoch's validation, and keeps its weights if none were better.
  private func accept(_ valid: EvaluationMetrics, _ report: (Progress) -> Void) throws {
    let isBest = (configuration.bestBy ?? .microF1).prefers(valid, to: best?.metrics)
    if isBest {
      best = Checkpoint.Best(epoch: position.epoch, metrics: valid)
      try recorder?.keepBest(state)
    }
    let record = EvaluationRecord(
      event: "evaluation", split: "valid", step: state.step, epoch: position.epoch, metrics: valid, best: isBest)
    try recorder?.append(record)
    report(.evaluation(record))
  }

  /// What the best epoch's weights make of the test split; nil if it was stopped.
  private func test(unless shouldStop: () -> Bool, _ report: (Progress) -> Void) throws -> Result? {
    let c = configuration
    let digest = recorder == nil ? "" : state.digest()
    let summary = PlacementSummary(
      numa: team.placement.effectivePolicy, pages: placement?.pages ?? 0, elsewhere: placement?.elsewhere ?? 0,
      replicas: state.replicas.count, replicasEqual: state.replicasAreEqual)
    guard let best else { preconditionFailure("a run of \(state.step) steps evaluated none") }
    recorder?.restoreBest(state)
    state.shareWeights(communicator)
    let split = dataset.test
    let measured = try evaluator.metrics(of: split, threshold: c.threshold, unless: shouldStop) {
      report(.evaluating(split: "test", done: $0, count: split.count))
    }
    guard let test = measured else { return nil }
    let record = EvaluationRecord(
      event: "evaluation", split: "test", step: state.step, epoch: best.epoch, metrics: test, best: true)
    try recorder?.append(record)
    report(.evaluation(record))
    return Result(
      test: test, valid: best.metrics, bestEpoch: best.epoch, steps: state.step,
      secondsPerStep: seconds / Double(max(state.step, 1)),
      samplesPerSecond: Double(state.step * c.batchSize) / max(seconds, 1e-9), peakMiB: peakMemory(),
      maxSteps: c.maxSteps, stoppedEarly: position.isOutOfPatience(c, best) ? true : nil,
      workers: team.ranks.workerCount, ranks: team.ranks.size, placement: summary,
      environment: .current, time: timestamp(), digest: digest)
  }

  // MARK: Checkpoints

  /// Saves after a step, if that is due and no file is still being written; before an epoch's validation what is due
  /// waits for that file.
  private func saveIfDue(waits: Bool = false) throws {
    try recorder?.check()
    if !waits {
      switch options.interval {
      case .steps(let steps): isSaveDue = isSaveDue || state.step % steps == 0
      case .seconds(let seconds): isSaveDue = (ContinuousClock.now - lastSave).seconds >= seconds
      }
    }
    if communicator.agree(on: isSaveDue && (waits || !(recorder?.isBusy ?? false))) { try save() }
  }

  /// Copies the state, then writes it in the background. All ranks have to call it.
  private func save() throws {
    try recorder?.wait()
    step.gatherMoments()
    isSaveDue = false
    lastSave = .now
    try recorder?.save(state) { metricsBytes, digestsBytes in
      Checkpoint.Record(
        step: state.step, position: position, best: best, configuration: configuration, data: data,
        stepsPerEpoch: stepsPerEpoch, metricsBytes: metricsBytes, digestsBytes: digestsBytes, seconds: seconds)
    }
  }

  /// Ends with a checkpoint of the present state.
  private func stop() throws -> Outcome {
    // A test may have put the best weights in the place of the last ones; those are on disk already.
    if !isAtEnd { try save() }
    try recorder?.wait()
    return .stopped(step: state.step, checkpoint: directory.checkpoints.file(state.step))
  }

  /// The training split's samples in an epoch's order.
  private func sampleOrder(epoch: Int) -> [Int] {
    let key = RandomKey(seed: configuration.seed).derived(RandomPurpose.sampleOrder.rawValue)
    let count = dataset.train.count
    let order = [Int32](unsafeUninitializedCapacity: count) { buffer, filled in
      if let base = buffer.baseAddress { key.fillPermutation(base, count: count, stream: UInt32(epoch)) }
      filled = count
    }
    return order.map(Int.init)
  }
}
