import Files
import Foundation
import Parallel

/// Repeats the steps between a run's checkpoints, on this machine and layout, and compares bits: proof that they can be
/// reproduced, or the first step that can't.
package struct RunReplay {
  /// One stretch of steps, in words, and whether it came out the same.
  package struct Finding {
    package let text: String
    package let isSame: Bool
  }

  private let directory: RunDirectory
  private let data: String?
  private let team: WorkerTeam

  /// - Parameter data: where the run's data set is now; nil for where it was.
  package init(_ directory: RunDirectory, data: String?, team: WorkerTeam) {
    (self.directory, self.data, self.team) = (directory, data, team)
  }

  /// Repeats all steps between checkpoints that are there.
  ///
  /// - Parameters:
  ///   - fromStart: whether also those before the first one, from the initial weights.
  ///   - report: hears of each stretch, up to the first one that is not the same.
  /// - Throws: `DataError` where there is nothing to repeat, or the data are others.
  package func run(fromStart: Bool, report: (Finding) throws -> Void) throws {
    let checkpoints = try directory.checkpoints.files().reversed().map { try Checkpoint(path: $0) }
    guard let last = checkpoints.last, checkpoints.count > 1 || fromStart else {
      throw DataError(
        file: directory.checkpoints.path, expected: "two checkpoints, to repeat the steps between them",
        found: "\(checkpoints.count)", remedy: "repeat the run from its first step with --from-start")
    }
    let settings = last.record.configuration
    let path =
      if let data { data } else if case .directory(let path) = settings.data { path } else { directory.generatedData }
    let dataset = try Dataset(directory: path, modalities: settings.model.modalities.map(\.name))
    if let difference = try last.record.data.differences(from: dataset, whole: false).first {
      throw DataError(
        file: path, expected: "the data of the run", found: difference, remedy: "say with --data where they are now")
    }
    try settings.requireMemory()
    let losses = try recordedLosses()
    let starts: [Checkpoint?] = fromStart ? [nil] + checkpoints : checkpoints
    for (start, end) in zip(starts, starts.dropFirst()) {
      guard let end else { continue }
      let finding = try compare(start, end, dataset, losses)
      try report(finding)
      if !finding.isSame { return }
    }
  }

  private func compare(
    _ start: Checkpoint?, _ end: Checkpoint, _ dataset: Dataset, _ losses: [Int: Trainer.StepRecord]
  ) throws -> Finding {
    let (settings, first) = (end.record.configuration, start?.record.step ?? 0)
    let name = "steps \(first + 1) to \(end.record.step)"
    if let change = settings.changes?.last(where: { $0.step > first || start == nil }) {
      return Finding(
        text: "\(name): can't be repeated, settings were changed after step \(change.step): "
          + change.settings.joined(separator: ", "), isSame: false)
    }
    let step = try TrainingStep(settings, dataset: dataset, team: team)
    if let start { try start.load(into: step.state) } else { step.state.initialize(seed: settings.seed) }
    var difference: String?
    let batches = EpochBatches(settings, dataset.train, step)
    batches.forEachStep(from: start?.record.position ?? .init(), count: end.record.step - first) { _, batch in
      let result = step.train(on: batch)
      if !result.isFinite { step.state.step += 1 }
      difference = losses[step.state.step].flatMap { Self.difference(result, $0) }
      return difference == nil
    }
    if let difference { return Finding(text: "step \(step.state.step): \(difference)", isSame: false) }
    let (expected, found) = (end.digest(), step.state.digest())
    return expected == found
      ? Finding(text: "\(name): the same bits, digest \(found)", isSame: true)
      : Finding(
        text: "\(name): the losses are the same, the state is not: expected digest \(expected), found \(found)",
        isSame: false)
  }

  /// In which term a step differs from its record, in words; nil if it does not.
  private static func difference(_ result: StepResult, _ record: Trainer.StepRecord) -> String? {
    for (term, value) in result.terms.sorted(by: { $0.key.index < $1.key.index }) {
      guard let recorded = record.terms[term.rawValue], !isSame(recorded, value) else { continue }
      return "loss term \(term.rawValue) was \(recorded), is \(value)"
    }
    return isSame(record.loss, result.loss) ? nil : "loss was \(record.loss), is \(result.loss)"
  }

  /// A step that was left out has losses that are no numbers.
  private static func isSame(_ a: Double, _ b: Double) -> Bool { a == b || a.isNaN && b.isNaN }

  /// By the steps' numbers; none where the log is lost.
  private func recordedLosses() throws -> [Int: Trainer.StepRecord] {
    guard let text = try? String(contentsOfFile: directory.metrics, encoding: .utf8) else { return [:] }
    var losses: [Int: Trainer.StepRecord] = [:]
    for line in text.split(separator: "\n") {
      if let record = try? JSON.decoder().decode(Trainer.StepRecord.self, from: Data(line.utf8)) {
        losses[record.step] = record
      }
    }
    return losses
  }
}
