import Files
import Foundation
import Logging
import Model
import Parallel
import Tensor

// What a run trains on, and with which settings: from the command line, a preset, a settings file, or a checkpoint.
extension Run {
  /// Settings, and the data set unless it is to be generated.
  struct Inputs {
    var settings: RunConfiguration
    var dataset: Dataset?
    /// The data set's, where a checkpoint knows it.
    var fingerprint: DatasetFingerprint?
    /// Whether settings or data differ from those of the run that continues.
    var isChanged = false
    /// What becomes of the learning rate of a run that continues with another schedule.
    var scheduleLine: String?

    /// Whether the data set is still to be made.
    var isToBeGenerated: Bool {
      if case .generated = settings.data { return dataset == nil }
      return false
    }
  }

  /// Where to continue; nil for a new run.
  func openCheckpoint(_ directory: RunDirectory) throws -> Checkpoint? {
    if basics.resume != nil {
      let logger = Logger(label: "carat.checkpoint")
      let newest = try directory.checkpoints.newest { logger.warning("passing over a checkpoint: \($0)") }
      if let newest { return newest }
      if basics.resume == .required {
        throw DataError(
          file: directory.checkpoints.path, expected: "a checkpoint to resume from", found: "none",
          remedy: "give the --output of a run that wrote one, or --resume auto to start anew where there is none")
      }
    }
    if !basics.overwrite { try directory.requireReplaceable(isResumed: basics.resume != nil) }
    return nil
  }

  /// All that can be wrong is known before the first byte is written.
  func newInputs(_ directory: RunDirectory) throws -> Inputs {
    try tellOfChanges()
    let source = try dataSource()
    switch source {
    case .directory(let path):
      let dataset = try Dataset(directory: path, modalities: names(training.modalities))
      var settings = try base(RunConfiguration(for: DatasetShape(of: dataset.train)))
      settings.data = .directory(try absolutePath(path))
      return Inputs(settings: try changed(settings, trainingSamples: dataset.train.count), dataset: dataset)
    case .generated(var generated):
      set(&generated.seed, basics.seed)
      let shape = try DatasetShape(of: generated).only(names(training.modalities), file: directory.path)
      var settings = try base(RunConfiguration(for: shape))
      settings.data = .generated(generated)
      settings = try changed(settings, trainingSamples: generated.train)
      try settings.requireMemory()
      try SyntheticDataset.check(generated, directory: directory.path)
      try directory.requireWritable()
      return Inputs(settings: settings, dataset: nil)
    }
  }

  /// What the command line says of data, or the settings file, or neither: then they are generated.
  private func dataSource() throws -> RunConfiguration.DataSource {
    if let data = basics.data { return .directory(data) }
    let filed = try training.config.flatMap { path throws(DataError) in try RunConfiguration.dataSource(inFile: path) }
    switch filed {
    case .directory(let path):
      if let contradiction = generation.contradiction(with: "\(path), which --config names") {
        throw SettingsError(description: contradiction)
      }
      return .directory(path)
    case .generated(let settings): return .generated(try generation.settings(settings))
    default: return .generated(try generation.settings())
    }
  }

  /// Settings with what the preset and the settings file give.
  func base(_ settings: RunConfiguration) throws -> RunConfiguration {
    var settings = settings
    basics.preset?.apply(to: &settings)
    guard let config = training.config else { return settings }
    if try RunConfiguration.hasShards(inFile: config) {
      Logger(label: "carat.config").warning(
        "\(config): 'shards' has no effect: batches are cut into blocks of 4 samples")
    }
    return try settings.changed(byFile: config)
  }

  /// A settings file of a run with a history makes another run: one with these settings from the start.
  private func tellOfChanges() throws {
    guard let config = training.config, try RunConfiguration.hasChanges(inFile: config) else { return }
    Logger(label: "carat.config").warning(
      "\(config) is of a run that continued with changed settings; this one has the last of them from its start")
  }

  /// The names in a list; nil without one.
  func names(_ list: String?) -> [String]? {
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

  var allowed: Set<String> { Set(names(checkpoints.allowChanged) ?? []) }

  /// Settings with what the command line gives.
  ///
  /// - Parameter resumed: those of the run that continues.
  /// - Throws: for settings that contradict one another or the data.
  func changed(_ base: RunConfiguration, trainingSamples: Int, resumed: RunConfiguration? = nil) throws
    -> RunConfiguration
  {
    var settings = base
    try model.apply(to: &settings)
    settings.set(.learningRate, basics.learningRate)
    settings.set(.warmup, training.warmup)
    settings.set(.weightDecay, training.weightDecay)
    settings.set(.batchSize, basics.batchSize)
    settings.setOptional(.microBatches, training.accumulate)
    settings.setOptional(.maxSteps, training.maxSteps)
    // A new run whose steps alone are limited takes as many epochs as it needs.
    let hasEpochs =
      try training.config.map { path throws(DataError) in try RunConfiguration.hasEpochs(inFile: path) } ?? false
    if training.maxSteps != nil && resumed == nil && !hasEpochs { settings.epochs = RunConfiguration.maximumEpochs }
    settings.set(.epochs, basics.epochs)
    settings.set(.seed, basics.seed)
    settings.set(.threshold, training.threshold)
    settings.set(.onNonFinite, training.onNonfinite)
    settings.setOptional(.bestBy, training.bestBy)
    settings.setOptional(.patience, training.patience)
    settings.setOptional(.tuneThreshold, training.tuneThreshold)
    settings.setOptional(.averageWeights, training.averageWeights)
    if let contradiction = settings.contradiction(trainingSamples: trainingSamples) {
      throw SettingsError(description: contradiction)
    }
    settings.optimizer.totalSteps = settings.totalSteps(trainingSamples: trainingSamples)
    return settings
  }
}
