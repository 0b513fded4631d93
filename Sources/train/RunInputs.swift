import Foundation
import Logging
import Model
import Parallel

// What a run trains on, and with which settings: from the command line, a preset, a settings file, or a checkpoint.
extension Run {
  /// Settings, and the data set unless it is to be generated.
  struct Inputs {
    var settings: RunConfiguration
    var dataset: Dataset?
    /// The data set's, where a checkpoint knows it.
    var fingerprint: DatasetFingerprint?
  }

  /// Where to go on; nil for a new run.
  func openCheckpoint(_ directory: RunDirectory) throws -> Checkpoint? {
    if resume != nil {
      let logger = Logger(label: "carat.checkpoint")
      let newest = try directory.checkpoints.newest { logger.warning("passing over a checkpoint: \($0)") }
      if let newest { return newest }
      if resume == .required {
        throw DataError(
          file: directory.checkpoints.path, expected: "a checkpoint to resume from", found: "none",
          remedy: "give the --output of a run that wrote one, or --resume auto to start anew where there is none")
      }
    } else if directory.isUnfinished && !overwrite {
      throw DataError(
        .creation, file: directory.path, expected: "no unfinished run", found: directory.checkpoints.files()[0],
        remedy: "go on with --resume, replace the run with --overwrite, or choose another --output")
    }
    return nil
  }

  /// All that can be wrong is known before the first byte is written.
  func newInputs(_ directory: RunDirectory) throws -> Inputs {
    let source = try dataSource()
    switch source {
    case .directory(let path):
      let dataset = try Dataset(directory: path, modalities: names(modalities))
      var settings = try base(RunConfiguration(for: DatasetShape(of: dataset.train)))
      settings.data = .directory(try absolutePath(path))
      return Inputs(settings: try changed(settings, trainingSamples: dataset.train.count), dataset: dataset)
    case .generated(var generated):
      set(&generated.seed, seed)
      let shape = try DatasetShape(of: generated).only(names(modalities), file: output)
      var settings = try base(RunConfiguration(for: shape))
      settings.data = .generated(generated)
      settings = try changed(settings, trainingSamples: generated.train)
      try settings.requireMemory()
      try SyntheticDataset.check(generated, directory: output)
      try directory.requireWritable()
      return Inputs(settings: settings, dataset: nil)
    }
  }

  /// What the command line says of data, or the settings file, or neither: then they are generated.
  private func dataSource() throws -> RunConfiguration.DataSource {
    if let data { return .directory(data) }
    let filed = try config.flatMap { path throws(DataError) in try RunConfiguration.dataSource(inFile: path) }
    switch filed {
    case .directory(let path) where !generation.areGiven: return .directory(path)
    case .generated(let settings): return .generated(try generation.settings(settings))
    default: return .generated(try generation.settings())
    }
  }

  /// Settings with what the preset and the settings file give.
  private func base(_ settings: RunConfiguration) throws -> RunConfiguration {
    var settings = settings
    preset?.apply(to: &settings)
    return try config.map { try settings.changed(byFile: $0) } ?? settings
  }

  /// The names in a list; nil without one.
  private func names(_ list: String?) -> [String]? {
    list?.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
  }

  /// Rank 0 writes, all read.
  func generate(
    _ settings: RunConfiguration, _ directory: RunDirectory, _ communicator: any Communicator
  ) throws -> Dataset {
    guard case .generated(let generated) = settings.data else { preconditionFailure("no data set, and none to make") }
    if communicator.rank == 0 {
      try RunDirectory(directory.generatedData).create()
      _ = try SyntheticDataset.write(generated, to: directory.generatedData)
    }
    communicator.barrier()
    return try Dataset(
      directory: directory.generatedData, modalities: settings.model.modalities.map(\.name))
  }

  /// A checkpoint's settings and data, with what is changed and may be.
  func resumedInputs(_ checkpoint: Checkpoint, _ directory: RunDirectory) throws -> Inputs {
    let before = checkpoint.record.configuration
    var settings = try base(before)
    settings.data = before.data
    // A settings file's data set is as one of --data; a run's config.json names its own.
    let filed = try config.flatMap { path throws(DataError) in try RunConfiguration.dataSource(inFile: path) }
    let filedPath: String? = if case .directory(let path) = filed { path } else { nil }
    let moved = data ?? filedPath
    let own = before.model.modalities.map(\.name)
    let dataset: Dataset
    var differences: [SettingsDifference] = []
    switch before.data {
    case .generated(let generated) where moved == nil:
      if try generation.settings(generated) != generated || filed ?? before.data != before.data {
        differences.append(
          SettingsDifference(name: "samples, --steps, --features or --labels", before: "something else", now: "given"))
      }
      dataset = try Dataset(directory: directory.generatedData, modalities: own)
    default:
      let recorded = if case .directory(let path) = before.data { path } else { directory.generatedData }
      dataset = try Dataset(directory: moved ?? recorded, modalities: own)
      settings.data = .directory(try absolutePath(moved ?? recorded))
      if case .generated = filed {
        differences.append(SettingsDifference(name: "data", before: recorded, now: "to be generated"))
      }
      if generation.areGiven {
        differences.append(
          SettingsDifference(name: "samples, --steps, --features or --labels", before: "absent", now: "given"))
      }
    }
    settings = try changed(settings, trainingSamples: dataset.train.count, before: before.shards)
    if let given = names(modalities), given != own {
      differences.append(
        SettingsDifference(
          name: "modalities", before: own.joined(separator: ","), now: given.joined(separator: ",")))
    }
    differences += try SettingsDifference.all(before, settings)
    let otherData = try checkpoint.record.data.differences(from: dataset, whole: false)
    differences += otherData.map { SettingsDifference(name: "data", before: "the same", now: "other: \($0)") }
    let refused = differences.filter { !allowed.contains($0.name) }
    if !refused.isEmpty {
      let names = Set(refused.map(\.name)).intersection(SettingsDifference.changeable).sorted()
      throw SettingsError(
        description: "\(checkpoint.path) belongs to a run with other settings: "
          + refused.map(\.description).joined(separator: "; ") + "; give its settings, or none"
          + (names.isEmpty ? "" : ", or --allow-changed \(names.joined(separator: ","))"))
    }
    let steps = settings.stepsPerEpoch(trainingSamples: dataset.train.count)
    guard steps == before.optimizer.totalSteps / before.epochs else {
      throw SettingsError(
        description: "\(checkpoint.path) belongs to a run of \(before.optimizer.totalSteps / before.epochs) steps an "
          + "epoch, not \(steps): data of another size need a new run")
    }
    return Inputs(
      settings: settings, dataset: dataset, fingerprint: otherData.isEmpty ? checkpoint.record.data : nil)
  }

  var allowed: Set<String> { Set(names(allowChanged) ?? []) }

  /// Settings with what the command line gives.
  ///
  /// - Parameter ownShards: those of the run that goes on.
  /// - Throws: for settings that contradict one another or the data.
  private func changed(_ base: RunConfiguration, trainingSamples: Int, before ownShards: Int? = nil) throws
    -> RunConfiguration
  {
    var settings = base
    try model.apply(to: &settings.model)
    set(&settings.optimizer.learningRate, learningRate)
    set(&settings.optimizer.warmup, warmup)
    set(&settings.optimizer.weightDecay, weightDecay)
    set(&settings.batchSize, batchSize)
    set(&settings.epochs, epochs)
    set(&settings.seed, seed)
    set(&settings.threshold, threshold)
    set(&settings.onNonFinite, onNonfinite)
    let filed = try config.flatMap { path throws(DataError) in try RunConfiguration.shards(inFile: path) }
    settings.shards = shards.shards ?? filed ?? ownShards ?? settings.defaultShards
    if let contradiction = settings.contradiction(trainingSamples: trainingSamples) {
      throw SettingsError(description: contradiction)
    }
    return settings
  }

  /// - Throws: if the working directory's path is no text, which config.json could not name.
  func absolutePath(_ path: String) throws(SettingsError) -> String {
    if path.hasPrefix("/") { return path }
    let bytes = getcwd(nil, 0)
    defer { free(bytes) }
    guard let bytes, let directory = String(validatingCString: bytes) else {
      throw SettingsError(
        description:
          "the working directory's path is not UTF-8 or is gone, so \(path) can't be recorded; rename it, or "
          + "start elsewhere")
    }
    return directory + "/" + path
  }
}
