import Foundation
import Model

/// What a person sees of a run: on a terminal one line that moves, otherwise a plain line an epoch.
struct ProgressLines {
  let epochs: Int
  let stepsPerEpoch: Int
  private let isTerminal = isatty(STDOUT_FILENO) == 1
  private var lossSum = 0.0
  private var secondsSum = 0.0
  private var count = 0

  init(epochs: Int, stepsPerEpoch: Int) {
    self.epochs = epochs
    self.stepsPerEpoch = stepsPerEpoch
  }

  func begin(_ dataset: Dataset, _ settings: RunConfiguration, workers: Int) {
    let shapes = dataset.train.modalities.map { "\($0.name) \($0.steps)×\($0.features)" }.joined(separator: ", ")
    say("data: \(dataset.train.count) train, \(dataset.valid.count) valid, \(dataset.test.count) test samples; \(shapes)")
    say(
      "run: \(epochs) epochs of \(stepsPerEpoch) steps, batch \(settings.batchSize), \(workers) "
        + "worker\(workers == 1 ? "" : "s"), \(settings.shards) shards, seed \(settings.seed)")
  }

  mutating func report(_ progress: Trainer.Progress) {
    switch progress {
    case .step(let record):
      lossSum += record.loss
      secondsSum += 1 / record.samplesPerSecond
      count += 1
      if isTerminal {
        let inEpoch = (record.step - 1) % stepsPerEpoch + 1
        show(
          "epoch \(record.epoch)/\(epochs)  step \(inEpoch)/\(stepsPerEpoch)  loss \(fixed(record.loss, 4))  "
            + "\(fixed(record.samplesPerSecond, 1)) samples/s")
      }
    case .evaluation(let record):
      if isTerminal { show("") }
      let m = record.metrics
      if record.split == "valid" {
        say(
          "epoch \(record.epoch)/\(epochs)  loss \(fixed(lossSum / Double(max(count, 1)), 4))  "
            + "\(fixed(Double(count) / secondsSum, 1)) samples/s  valid micro-F1 \(fixed(m.microF1, 4))  "
            + "mAP \(fixed(m.meanAveragePrecision, 4))\(record.best ? "  best" : "")")
      }
      (lossSum, secondsSum, count) = (0, 0, 0)
    }
  }

  func end(_ result: Trainer.Result, output: String, best: String?) {
    let m = result.test
    say(
      "test (epoch \(result.bestEpoch)): micro-F1 \(fixed(m.microF1, 4))  precision \(fixed(m.precision, 4))  "
        + "recall \(fixed(m.recall, 4))  accuracy \(fixed(m.accuracy, 4))  macro-F1 \(fixed(m.macroF1, 4))  "
        + "mAP \(fixed(m.meanAveragePrecision, 4))")
    if let best { say("best reachable micro-F1 on this generated test split: \(best)") }
    say(
      "\(fixed(result.secondsPerStep, 4)) s a step, \(fixed(result.samplesPerSecond, 1)) samples/s, peak "
        + "\(fixed(result.peakMiB, 0)) MiB; files in \(output)")
    say("digest \(result.digest)")
  }

  private func say(_ line: String) { write(line + "\n") }
  /// Replaces the terminal's current line.
  private func show(_ line: String) { write("\r\u{1B}[K" + line) }
  private func write(_ text: String) { FileHandle.standardOutput.write(Data(text.utf8)) }
}

/// A number with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
