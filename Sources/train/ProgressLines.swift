import Foundation
import Model
import Parallel
import Tensor

/// What a person sees of a run: a line an epoch, and on a terminal a last line that moves with the steps.
struct ProgressLines {
  private let settings: RunConfiguration
  private let epochs: Int
  private let stepsPerEpoch: Int
  private let isQuiet: Bool
  private let isTerminal: Bool
  /// Whether to colour what stands out: on a terminal, unless its user wants none (https://no-color.org).
  private let isColoured: Bool
  private var lastShown = ContinuousClock.now
  /// Of the run's last steps, for the time that is left; the first step of a start does not count.
  private var secondsPerStep: Double?
  private var isFirstStep = true
  /// Of the last validation, and when the present one began.
  private var validationSeconds = 0.0
  private var evaluationStart: ContinuousClock.Instant?
  // Of the epoch's steps since the run was started or resumed; a step that was left out has no loss.
  private var losses = (sum: 0.0, count: 0)
  private var steps = (secondsPerSample: 0.0, count: 0)

  /// - Parameter isQuiet: whether only results are told.
  init(_ settings: RunConfiguration, trainingSamples: Int, isQuiet: Bool = false) {
    self.settings = settings
    self.isQuiet = isQuiet
    let steps = settings.stepsPerEpoch(trainingSamples: trainingSamples)
    stepsPerEpoch = steps
    // Of a run whose steps are limited, those that it begins.
    epochs = min(settings.epochs, (settings.optimizer.totalSteps + steps - 1) / steps)
    // Launchers give ranks terminals of their own, whatever becomes of the output.
    let environment = ProcessInfo.processInfo.environment
    isTerminal =
      !isQuiet && Launcher.announced.size == 1 && isatty(STDOUT_FILENO) == 1 && environment["TERM"] != "dumb"
    isColoured = isTerminal && environment["NO_COLOR"] ?? "" == ""
  }

  func begin(
    _ dataset: Dataset, trainer: Trainer, team: WorkerTeam, directory: RunDirectory,
    reachable: SyntheticDataset.Reachable?, checkpoint: Checkpoint?, schedule: String?
  ) {
    let (ranks, model) = (team.ranks, settings.model)
    let workers = ranks.workerCount
    let shapes = dataset.train.modalities.map { "\($0.name) \($0.steps)×\($0.features)" }.joined(separator: ", ")
    line(
      "data: \(dataset.train.count) train, \(dataset.valid.count) valid, \(dataset.test.count) test samples; "
        + "\(shapes) (steps × features); labels \(dataset.train.labelNames.joined(separator: ", "))")
    for note in [absentLabels(of: [dataset.train, dataset.valid, dataset.test]), commonIDs(of: dataset)] {
      if let note { line(note) }
    }
    if let reachable {
      line(
        "generated: test micro-F1 of always predicting the frequent labels \(fixed(reachable.frequentLabelsMicroF1, 4)), "
          + "best reachable \(fixed(reachable.microF1, 4)), at threshold 0.25 \(fixed(reachable.microF1AtQuarter, 4))")
    }
    line(
      "model: \(trainer.parameterCount < 100_000 ? "\(trainer.parameterCount)" : fixed(Double(trainer.parameterCount) / 1e6, 1) + " million") parameters, layers "
        + "\(model.modalities.map { "\($0.layers)" }.joined(separator: ",")) of width \(model.hiddenSize), queue "
        + "\(model.queueSize); \(fixed(Double(trainer.plannedBytes) / 0x1p20, 0)) MiB of memory")
    let nodes = team.placement.nodes.count
    line(
      "machine: \(MachineDescription.processor), built for \(InstructionSet.description); \(plural(team.count, "worker"))"
        + (nodes > 1 ? " on \(nodes) NUMA nodes" : "") + "; output in \(directory.path)")
    line(
      "run: \(plural(epochs, "epoch")) of \(plural(stepsPerEpoch, "step"))\(limit), batch \(settings.batchSize)"
        + settings.inMicroBatches + ", "
        + "\(plural(workers, "worker"))" + (ranks.size > 1 ? " of \(ranks.size) ranks" : "")
        + ", seed \(settings.seed)")
    if let checkpoint { line("resumed after step \(checkpoint.record.step) from \(checkpoint.path)") }
    if let schedule { line(schedule) }
  }

  /// What --max-steps does to the epochs.
  private var limit: String {
    guard let limit = settings.maxSteps else { return "" }
    let total = settings.optimizer.totalSteps
    return limit > total
      ? ", which end it before --max-steps \(limit)" : ", ended by --max-steps after \(plural(total, "step"))"
  }

  func beginFinished(_ checkpoint: Checkpoint) {
    line("finished after step \(checkpoint.record.step): nothing is left to do, and this is what it came to")
  }

  mutating func report(_ progress: Trainer.Progress) {
    switch progress {
    case .step(let record):
      if record.loss.isFinite { losses = (losses.sum + record.loss, losses.count + 1) }
      steps = (steps.secondsPerSample + 1 / record.samplesPerSecond, steps.count + 1)
      let took = Double(settings.batchSize) / record.samplesPerSecond
      // The first step of a start touches all memory.
      if !isFirstStep { secondsPerStep = (secondsPerStep ?? took) * 0.9 + took * 0.1 }
      isFirstStep = false
      guard isDue() else { return }
      let done = (record.step - 1) % stepsPerEpoch + 1
      var bar = ProgressBar(
        title: "epoch \(record.epoch)/\(epochs)", done: done, count: stepsPerEpoch,
        parts: ["loss \(fixed(record.loss, 4))", "\(fixed(record.samplesPerSecond, 1)) samples/s"])
      if let secondsPerStep {
        bar.parts += [
          "\(ProgressBar.time(Double(stepsPerEpoch - done) * secondsPerStep)) left",
          "run \(ProgressBar.time(timeLeft(afterStep: record.step, epoch: record.epoch) ?? 0)) left",
        ]
      }
      show(bar)
    case .evaluating(let split, let done, let count):
      if evaluationStart == nil { evaluationStart = .now }
      guard isDue() else { return }
      show(
        ProgressBar(title: split == "valid" ? "validating" : "testing", done: done, count: count, parts: ["samples"]))
    case .skipped(let record):
      clear()
      line("step \(record.step) left out: not a finite number, first in \(record.found.description)")
    case .evaluation(let record):
      clear()
      let m = record.metrics
      if let start = evaluationStart, record.split == "valid" { validationSeconds = (.now - start) / .seconds(1) }
      evaluationStart = nil
      if record.split == "valid" {
        let left =
          timeLeft(afterStep: record.step, epoch: record.epoch + 1).map { "  \(ProgressBar.time($0)) left" } ?? ""
        line(
          "epoch \(record.epoch)/\(epochs)  \(means)\(record.weights == .averaged ? "averaged weights  " : "")valid micro-F1 \(fixed(m.microF1, 4))  "
            + "mAP \(fixed(m.meanAveragePrecision, 4))\(selected(m))", highlight: record.best ? "  best" : "", left)
      }
      (losses, steps) = ((0, 0), (0, 0))
    }
  }

  /// What the best epoch is chosen by, where the line does not have it.
  private func selected(_ metrics: EvaluationMetrics) -> String {
    switch settings.bestBy ?? .microF1 {
    case .microF1, .meanAveragePrecision: ""
    case .macroF1: "  macro-F1 \(fixed(metrics.macroF1, 4))"
    case .loss: "  loss \(fixed(metrics.crossEntropy ?? .nan, 4))"
    }
  }

  /// Seconds until the run's end, evaluations included; nil before it can be told, and at the end.
  private func timeLeft(afterStep step: Int, epoch: Int) -> Double? {
    guard let secondsPerStep, step < settings.optimizer.totalSteps else { return nil }
    return Double(settings.optimizer.totalSteps - step) * secondsPerStep + Double(max(epochs - epoch + 1, 0))
      * validationSeconds
  }

  /// Whether the terminal's last line may be drawn anew.
  private mutating func isDue() -> Bool {
    let now = ContinuousClock.now
    guard isTerminal, now - lastShown > .milliseconds(100) else { return false }
    lastShown = now
    return true
  }

  /// The epoch's mean loss and speed. A run that was resumed at an epoch's end has done nothing of it.
  private var means: String {
    (losses.count > 0 ? "loss \(fixed(losses.sum / Double(losses.count), 4))  " : "")
      + (steps.count > 0 ? "\(fixed(Double(steps.count) / steps.secondsPerSample, 1)) samples/s  " : "")
  }

  func end(_ result: Trainer.Result, directory: RunDirectory, reachable: SyntheticDataset.Reachable?) {
    let m = result.test
    if result.stoppedEarly == true, let patience = settings.patience {
      tell("stopped early: no better epoch than \(result.bestEpoch) in \(plural(patience, "epoch"))")
    }
    tell(
      "test (epoch \(result.bestEpoch)\(result.weights == .averaged ? ", averaged weights" : "")): micro-F1 \(fixed(m.microF1, 4))  precision \(fixed(m.precision, 4))  "
        + "recall \(fixed(m.recall, 4))  accuracy \(fixed(m.accuracy, 4))  macro-F1 \(fixed(m.macroF1, 4))  "
        + "mAP \(fixed(m.meanAveragePrecision, 4))")
    if let tuned = result.tuned {
      tell(
        "test by tuned thresholds: micro-F1 \(fixed(tuned.test.microF1, 4))  macro-F1 \(fixed(tuned.test.macroF1, 4))"
          + tuned.thresholds.sorted { $0.key < $1.key }.map { "  \($0.key) \(fixed(Double($0.value), 3))" }.joined())
    }
    if let reachable {
      tell(
        "test micro-F1: frequent labels \(fixed(reachable.frequentLabelsMicroF1, 4)), this run "
          + "\(fixed(m.microF1, 4)), best reachable \(fixed(reachable.microF1, 4)) "
          + "(at threshold 0.25 \(fixed(reachable.microF1AtQuarter, 4)))")
    }
    tell(
      "\(fixed(result.secondsPerStep, 4)) s per step, \(fixed(result.samplesPerSecond, 1)) samples/s, peak "
        + "\(fixed(result.peakMiB, 0)) MiB; files in \(directory.path)")
    tell("digest \(result.digest)")
  }

  func stop(step: Int, checkpoint: String) {
    clear()
    tell("stopped after step \(step), saved in \(checkpoint); continue with --resume")
  }

  private func plural(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  /// Nobody's reading the progress is no reason to end a run.
  private func tell(_ text: String) { try? say(text) }

  /// The same of what --quiet leaves out.
  ///
  /// - Parameter highlight: words in between that stand out where there are colours.
  private func line(_ text: String, highlight: String = "", _ rest: String = "") {
    guard !isQuiet else { return }
    guard isColoured && !highlight.isEmpty else { return tell(text + highlight + rest) }
    try? printOut("\(oneLine(text))\u{1B}[1;32m\(oneLine(highlight))\u{1B}[0m\(oneLine(rest))")
  }

  /// Replaces the terminal's current line; one that wraps could not be taken back.
  private func show(_ bar: ProgressBar?) {
    var size = winsize()
    let columns = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 1 ? Int(size.ws_col) - 1 : 79
    let output = try? TextOutput()
    try? output?.write("\r\u{1B}[K" + oneLine(bar?.line(columns: columns) ?? ""))
    try? output?.flush()
  }

  private func clear() { if isTerminal { show(nil) } }
}

extension RunConfiguration {
  /// Behind the size of a batch: in how many micro-batches it goes through the encoders, if there are several.
  var inMicroBatches: String { microBatches.map { $0 > 1 ? " in \($0) micro-batches" : "" } ?? "" }
}
