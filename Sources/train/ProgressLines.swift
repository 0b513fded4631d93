import Foundation
import Model
import Parallel

/// What a person sees of a run: a line an epoch, and on a terminal a last line that moves with the steps.
struct ProgressLines {
  private let settings: RunConfiguration
  private let epochs: Int
  private let stepsPerEpoch: Int
  private let isTerminal: Bool
  private var lastShown = ContinuousClock.now
  // Of the epoch's steps since the run was started or resumed; a step that was left out has no loss.
  private var losses = (sum: 0.0, count: 0)
  private var steps = (secondsPerSample: 0.0, count: 0)

  init(_ settings: RunConfiguration, trainingSamples: Int) {
    self.settings = settings
    let steps = settings.stepsPerEpoch(trainingSamples: trainingSamples)
    stepsPerEpoch = steps
    // Of a run whose steps are limited, those that it begins.
    epochs = min(settings.epochs, (settings.optimizer.totalSteps + steps - 1) / steps)
    // Launchers give ranks terminals of their own, whatever becomes of the output.
    isTerminal =
      Launcher.announced.size == 1 && isatty(STDOUT_FILENO) == 1
      && ProcessInfo.processInfo.environment["TERM"] != "dumb"
  }

  func begin(
    _ dataset: Dataset, ranks: Ranks, reachable: SyntheticDataset.Reachable?, checkpoint: Checkpoint?,
    schedule: String?
  ) {
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
      "run: \(plural(epochs, "epoch")) of \(plural(stepsPerEpoch, "step"))\(limit), batch \(settings.batchSize), "
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
      let now = ContinuousClock.now
      guard isTerminal, now - lastShown > .milliseconds(100) else { return }
      lastShown = now
      show(
        "epoch \(record.epoch)/\(epochs)  step \((record.step - 1) % stepsPerEpoch + 1)/\(stepsPerEpoch)  "
          + "loss \(fixed(record.loss, 4))  \(fixed(record.samplesPerSecond, 1)) samples/s")
    case .skipped(let record):
      if isTerminal { show("") }
      line("step \(record.step) left out: not a finite number, first in \(record.found.description)")
    case .evaluation(let record):
      if isTerminal { show("") }
      let m = record.metrics
      if record.split == "valid" {
        line(
          "epoch \(record.epoch)/\(epochs)  \(means)valid micro-F1 \(fixed(m.microF1, 4))  "
            + "mAP \(fixed(m.meanAveragePrecision, 4))\(record.best ? "  best" : "")")
      }
      (losses, steps) = ((0, 0), (0, 0))
    }
  }

  /// The epoch's mean loss and speed. A run that was resumed at an epoch's end has done nothing of it.
  private var means: String {
    (losses.count > 0 ? "loss \(fixed(losses.sum / Double(losses.count), 4))  " : "")
      + (steps.count > 0 ? "\(fixed(Double(steps.count) / steps.secondsPerSample, 1)) samples/s  " : "")
  }

  func end(_ result: Trainer.Result, directory: RunDirectory, reachable: SyntheticDataset.Reachable?) {
    let m = result.test
    line(
      "test (epoch \(result.bestEpoch)): micro-F1 \(fixed(m.microF1, 4))  precision \(fixed(m.precision, 4))  "
        + "recall \(fixed(m.recall, 4))  accuracy \(fixed(m.accuracy, 4))  macro-F1 \(fixed(m.macroF1, 4))  "
        + "mAP \(fixed(m.meanAveragePrecision, 4))")
    if let reachable {
      line(
        "test micro-F1: frequent labels \(fixed(reachable.frequentLabelsMicroF1, 4)), this run "
          + "\(fixed(m.microF1, 4)), best reachable \(fixed(reachable.microF1, 4)) "
          + "(at threshold 0.25 \(fixed(reachable.microF1AtQuarter, 4)))")
    }
    line(
      "\(fixed(result.secondsPerStep, 4)) s a step, \(fixed(result.samplesPerSecond, 1)) samples/s, peak "
        + "\(fixed(result.peakMiB, 0)) MiB; files in \(directory.path)")
    line("digest \(result.digest)")
  }

  func stop(step: Int, checkpoint: String) {
    if isTerminal { show("") }
    line("stopped after step \(step), saved in \(checkpoint); go on with --resume")
  }

  private func plural(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  /// Nobody's reading the progress is no reason to end a run.
  private func line(_ text: String) { try? say(text) }

  /// Replaces the terminal's current line, cut to its width: a line that wraps could not be taken back.
  private func show(_ text: String) {
    var size = winsize()
    let columns = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 1 ? Int(size.ws_col) - 1 : 79
    let output = try? TextOutput()
    try? output?.write("\r\u{1B}[K" + text.prefix(columns))
    try? output?.flush()
  }
}
