import Files
import Foundation
import Model
import Parallel

// What a run that continues trains on, and with which settings: those of its checkpoint, with what is changed and may be.
extension Run {
  func resumedInputs(_ checkpoint: Checkpoint, _ directory: RunDirectory) throws -> Inputs {
    let before = checkpoint.record.configuration
    var settings = try base(before)
    settings.data = before.data
    // A settings file's data set is as one of --data; a run's config.json names its own.
    let filed = try training.config.flatMap { path throws(DataError) in try RunConfiguration.dataSource(inFile: path) }
    let filedPath: String? = if case .directory(let path) = filed { path } else { nil }
    let moved = basics.data ?? filedPath
    let own = before.model.modalities.map(\.name)
    let dataset: Dataset?
    let trainingSamples: Int
    var differences: [SettingsDifference] = []
    switch before.data {
    case .generated(let generated) where moved == nil:
      if try generation.settings(generated) != generated || filed ?? before.data != before.data {
        differences.append(
          SettingsDifference(name: "samples, --steps, --features or --labels", before: "something else", now: "given"))
      }
      let isThere = Dataset.splitNames.contains {
        FileManager.default.fileExists(atPath: Dataset.path(of: $0, in: directory.generatedData))
      }
      // A checkpoint alone is enough: the data are generated again.
      if !isThere { try SyntheticDataset.check(generated, directory: directory.path) }
      dataset = isThere ? try Dataset(directory: directory.generatedData, modalities: own) : nil
      trainingSamples = dataset?.train.count ?? generated.train
    default:
      let recorded = if case .directory(let path) = before.data { path } else { directory.generatedData }
      let steps = (count: checkpoint.record.epochSteps, of: before.batchSize)
      // A finished run says its result without its data.
      if moved == nil, !FileManager.default.fileExists(atPath: recorded), directory.result(of: checkpoint) != nil {
        (dataset, trainingSamples) = (nil, steps.count * steps.of)
      } else {
        let found = try Dataset(directory: moved ?? recorded, modalities: own)
        (dataset, trainingSamples) = (found, found.train.count)
      }
      settings.data = .directory(try absolutePath(moved ?? recorded))
      if case .generated = filed {
        differences.append(SettingsDifference(name: "data", before: recorded, now: "to be generated"))
      }
      if let contradiction = generation.contradiction(with: moved ?? recorded) {
        throw SettingsError(description: contradiction)
      }
    }
    settings = try changed(settings, trainingSamples: trainingSamples, resumed: before)
    if let given = names(training.modalities), given != own {
      differences.append(
        SettingsDifference(
          name: "modalities", before: own.joined(separator: ","), now: given.joined(separator: ",")))
    }
    differences += SettingsDifference.all(before, settings)
    let otherData = try dataset.map { try checkpoint.record.data.differences(from: $0, whole: false) } ?? []
    differences += otherData.map { SettingsDifference(name: "data", before: "the same", now: "other: \($0)") }
    try refuse(differences.filter { !allowed.contains($0.name) }, of: checkpoint)
    try requirePlace(settings, trainingSamples, in: checkpoint)
    let scheduleLine = try changeSchedule(of: &settings, checkpoint)
    if dataset == nil, case .directory(let path) = settings.data,
      !differences.isEmpty || !checkpoint.isEnd(of: settings)
    {
      // There is something to do, for which they have to be there.
      _ = try Dataset(directory: path, modalities: own)
    }
    if !differences.isEmpty {
      let change = RunConfiguration.Change(step: checkpoint.record.step, settings: differences.map(\.description))
      settings.changes = (before.changes ?? []) + [change]
    }
    return Inputs(
      settings: settings, dataset: dataset, fingerprint: otherData.isEmpty ? checkpoint.record.data : nil,
      isChanged: !differences.isEmpty, scheduleLine: scheduleLine)
  }

  private func refuse(_ refused: [SettingsDifference], of checkpoint: Checkpoint) throws {
    guard !refused.isEmpty else { return }
    let names = Set(refused.map(\.name)).intersection(SettingsDifference.changeable).sorted()
    throw SettingsError(
      description: "\(checkpoint.path) belongs to a run with other settings: "
        + refused.map(\.description).joined(separator: "; ") + "; give its settings, or none"
        + (names.isEmpty ? "" : ", or --allow-changed \(names.joined(separator: ","))"))
  }

  /// - Throws: if the checkpoint's place is none of a run of these settings.
  private func requirePlace(_ settings: RunConfiguration, _ trainingSamples: Int, in checkpoint: Checkpoint) throws {
    let record = checkpoint.record
    let steps = settings.stepsPerEpoch(trainingSamples: trainingSamples)
    guard steps == record.epochSteps else {
      throw SettingsError(
        description:
          "\(checkpoint.path) belongs to a run of \(record.epochSteps) steps an epoch, not \(steps): data of "
          + "another size need a new run")
    }
    let begun = record.position.step == 0 ? record.position.epoch - 1 : record.position.epoch
    guard settings.epochs >= begun else {
      throw SettingsError(
        description:
          "\(checkpoint.path) is of a run that has begun epoch \(begun), more than --epochs \(settings.epochs): give at "
          + "least \(begun), or resume an older checkpoint by removing the newer ones")
    }
    if let maxSteps = training.maxSteps, record.configuration.maxSteps != maxSteps, maxSteps > settings.epochs * steps {
      throw SettingsError(
        description:
          "--max-steps \(maxSteps) is beyond the \(settings.epochs) epochs of \(steps) steps of the run: give more --epochs "
          + "too, with --allow-changed epochs,max-steps")
    }
    if let limit = settings.maxSteps, limit < record.step {
      throw SettingsError(
        description:
          "\(checkpoint.path) is of a run that has taken \(record.step) steps, more than --max-steps \(limit): "
          + "give at least \(record.step), or resume an older checkpoint by removing the newer ones")
    }
  }

  /// Data that were generated again are those of before.
  func requireSame(_ dataset: Dataset, as checkpoint: Checkpoint) throws {
    let differences = try checkpoint.record.data.differences(from: dataset, whole: true)
    guard !differences.isEmpty && !allowed.contains("data") else { return }
    throw SettingsError(
      description: "\(checkpoint.path) belongs to a run on generated data, which this program generates differently: "
        + differences.joined(separator: "; ") + "; copy the run's data directory too, or --allow-changed data")
  }

  // MARK: Learning rate

  /// Lets the schedule of a run that continues follow what was changed, as --schedule says.
  ///
  /// - Returns: what happens to the learning rate, in words; nil if nothing does.
  /// - Throws: if what was asked for has no effect.
  private func changeSchedule(of settings: inout RunConfiguration, _ checkpoint: Checkpoint) throws -> String? {
    let (before, step) = (checkpoint.record.configuration.optimizer, checkpoint.record.step)
    let now = settings.optimizer
    let isChanged =
      (before.learningRate, before.warmup, before.totalSteps) != (now.learningRate, now.warmup, now.totalSteps)
    guard isChanged else {
      // A job that is queued again gives the same options each time.
      if let schedule = checkpoints.schedule, basics.resume == .required, before.scheduleStart?.change != schedule {
        throw SettingsError(
          description:
            "--schedule \(schedule.rawValue) goes with a change of the number of steps, the learning rate or the "
            + "warm-up (--allow-changed epochs, max-steps, learning-rate or warmup), and none of them changes")
      }
      return nil
    }
    if let schedule = checkpoints.schedule {
      guard let start = before.scheduleStart(schedule, afterSteps: step) else {
        throw SettingsError(
          description:
            "--schedule continue has nothing to continue with, for after \(step) steps the learning rate has fallen "
            + "to 0: --schedule restart begins with a warm-up, without --schedule it is that of a run of the new length"
        )
      }
      settings.optimizer.scheduleStart = start
    }
    if settings.optimizer.isContinued && before.warmup != now.warmup {
      throw SettingsError(
        description:
          "--warmup has no effect on a learning rate that continues from where it was: leave it out, or give "
          + "--schedule restart")
    }
    return scheduleLine(from: before, to: settings.optimizer, afterSteps: step)
  }

  private func scheduleLine(
    from before: OptimizerConfiguration, to now: OptimizerConfiguration, afterSteps step: Int
  ) -> String {
    let length = before.totalSteps == now.totalSteps ? "" : "\(now.totalSteps) steps instead of \(before.totalSteps); "
    let next = step + 1
    let way =
      switch checkpoints.schedule {
      case .continue: "continued, to 0 at step \(now.totalSteps)"
      case .restart: "restarted: a warm-up to \(now.learningRate) and a fall to 0 from here to step \(now.totalSteps)"
      case nil:
        "as in a run that had these settings from "
          + (now.scheduleStart.map { "the schedule's start after step \($0.step)" } ?? "the start")
          + "; --schedule continue or restart would choose otherwise"
      }
    return
      "schedule: \(length)learning rate of step \(next): \(before.rate(atStep: step)) → \(now.rate(atStep: step)) (\(way))"
  }
}
