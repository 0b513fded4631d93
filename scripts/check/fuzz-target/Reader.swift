import Foundation
import Parallel

@testable import Files
@testable import Model

/// What reads files that may come from anybody.
enum Reader: String, CaseIterable {
  /// Any safetensors file: each tensor in each way, and the checksums.
  case safetensors
  /// A data set's file.
  case split
  /// A checkpoint as it stands, whose checksums find nearly every change.
  case checkpoint
  /// A checkpoint's record, put into a checkpoint with right checksums.
  case record
  /// A training state's tensors.
  case state
  /// Recorded steps.
  case golden
  /// Recorded steps' settings, put into a file with tensors.
  case settings
  /// A run's config.json, also as what `--config` names.
  case configuration

  /// Whether inputs are JSON, and not files with a header.
  var isText: Bool { [.record, .settings, .configuration].contains(self) }
}

/// The files that inputs become, and what reads them.
final class Workplace {
  nonisolated(unsafe) static var current: Workplace?

  let reader: Reader
  private let directory: String
  private let path: String
  private let run: RunConfiguration
  private let state: TrainingState?

  init(_ reader: Reader) throws {
    self.reader = reader
    directory = "/dev/shm/carat-fuzz-\(getpid())"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    path = directory + (reader == .configuration ? "/config.json" : "/input.safetensors")
    run = Samples.run
    state = reader == .state ? try Samples.state() : nil
    atexit { if let workplace = Workplace.current { try? FileManager.default.removeItem(atPath: workplace.directory) } }
  }

  /// Reads one input. Errors are what is hoped for; they must have a message of one line.
  func read(_ bytes: UnsafeRawBufferPointer) {
    do {
      switch reader {
      case .record: try Samples.writeCheckpoint(record: String(decoding: bytes, as: UTF8.self), to: path)
      case .settings: try Samples.writeGolden(settings: String(decoding: bytes, as: UTF8.self), to: path)
      default: put(bytes)
      }
      try open()
    } catch {
      precondition(!"\(error)".contains("\n"), "a message of two lines")
    }
  }

  private func put(_ bytes: UnsafeRawBufferPointer) {
    let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    precondition(descriptor >= 0 && write(descriptor, bytes.baseAddress, bytes.count) == bytes.count, "no space")
    close(descriptor)
  }

  private func open() throws {
    switch reader {
    case .safetensors: try readAll(SafetensorsFile(path: path))
    case .split: try readSplit()
    case .checkpoint, .record: try readCheckpoint()
    case .state: try state?.load(from: SafetensorsFile(path: path))
    case .golden, .settings: try readGolden()
    case .configuration: try readConfiguration()
    }
  }

  private func readAll(_ file: SafetensorsFile) throws {
    var sum = Float(0)
    for name in file.names + ["absent"] {
      _ = (file.shape(of: name), file.dtype(of: name))
      for value in (try? file.floats(name)) ?? .init(start: nil, count: 0) { sum += value }
      for value in (try? file.int32s(name)) ?? [] { sum += Float(value) }
      for byte in file.bytes(of: name) ?? .init(start: nil, count: 0) { sum += Float(byte) }
      _ = try? file.scalar(name)
    }
    precondition(sum.isNaN || sum <= .infinity)
    try file.verifyChecksums()
  }

  private func readSplit() throws {
    let names = (0..<2).map { "label\($0)" }
    if let split = try? DatasetSplit(path: path, labelsIfMissing: names) { copy(split) }
    copy(try DatasetSplit(path: path))
  }

  private func copy(_ split: DatasetSplit) {
    _ = DatasetShape(of: split)
    for sample in 0..<split.count {
      _ = split.labels(ofSample: sample).reduce(0, +)
      _ = split.ids?[sample].count
      for (m, modality) in split.modalities.enumerated() {
        let target = UnsafeMutablePointer<Float>.allocate(capacity: modality.steps * modality.features)
        defer { target.deallocate() }
        split.copyFeatures(sample: sample, modality: m, steps: modality.steps, into: target)
        precondition((1...modality.steps).contains(modality.lengths[sample]))
      }
    }
  }

  private func readCheckpoint() throws {
    let checkpoint = try Checkpoint(path: path)
    _ = checkpoint.digest()
    let record = checkpoint.record
    _ = try SettingsDifference.all(record.configuration, run)
    try use(record.configuration)
    // What a trainer counts on.
    precondition(UInt32(exactly: record.step) != nil && record.position.epoch >= 1 && record.position.step >= 0)
    precondition(!record.position.step.multipliedReportingOverflow(by: record.configuration.batchSize).overflow)
    precondition(record.best != nil || record.position.epoch <= record.configuration.epochs)
  }

  private func readGolden() throws {
    let golden = try GoldenFile(path: path)
    try MemoryNeed.check(golden.configuration, samples: golden.batchSize)
    guard isSmall(golden.configuration, batchSize: golden.batchSize) else { return }
    let batch = Batch(golden.configuration, capacity: golden.batchSize)
    for step in 0..<min(golden.steps, 2) { try golden.fill(batch, step: step) }
  }

  private func readConfiguration() throws {
    if case .generated(let data) = try? RunConfiguration.dataSource(inFile: path) { _ = DatasetShape(of: data) }
    if let changed = try? run.changed(byFile: path), changed.contradiction == nil { try use(changed) }
    try use(RunDirectory(directory).readConfiguration())
  }

  /// What is computed with settings before training starts.
  private func use(_ settings: RunConfiguration) throws {
    _ = settings.contradiction(trainingSamples: 1000)
    _ = settings.optimizer.rate(atStep: 1)
    _ = try JSON.line(settings)
    if case .generated(let data) = settings.data {
      try SyntheticDataset.check(data, directory: directory)
    }
    try settings.requireMemory()
    if isSmall(settings.model, batchSize: settings.batchSize) {
      _ = CARATModel(settings.model)
      _ = Batch(settings.model, capacity: settings.batchSize)
    }
  }

  /// Whether what a configuration needs may be allocated for every input.
  private func isSmall(_ c: ModelConfiguration, batchSize: Int) -> Bool {
    let need = MemoryNeed(c)
    return need.parameters + need.queue + need.activations * Double(batchSize) < 1e7
      && c.modalities.reduce(0.0) { $0 + Double($1.maximumSteps) * Double($1.features + c.hiddenSize) }
        * Double(batchSize) < 1e7
      && c.modalities.allSatisfy { $0.layers < 20 }
  }
}
