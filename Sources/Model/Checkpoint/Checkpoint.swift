import Files
import Foundation

/// A file from which a run continues as if it had never stopped: the whole training state, and where the run stood.
///
/// A safetensors file with checksums (`Checksums`): every tensor of `TrainingState.withTensors`; the best epoch's weights
/// under their names with `best.` before them; and in the metadata, under `carat`, a `Record` as JSON.
package struct Checkpoint: Sendable {
  /// Where a run stands between two steps.
  package struct Position: Codable, Sendable, Equatable {
    /// The epoch that continues, from 1; after the last one's evaluation one more than there are.
    package var epoch = 1
    /// Steps done in it. If it is all of them, the epoch's evaluation is still to do.
    package var step = 0
    /// Whether the state of this place was evaluated: at an epoch's end, or where the run's last step cut an epoch.
    package var isEvaluated = false
    /// Steps in a row, up to the last one, that were left out as not finite.
    package var skips = 0

    package init() {}

    enum CodingKeys: String, CodingKey {
      case epoch, step, skips
      case isEvaluated = "evaluated"
    }

    /// Whether a run of these settings has nothing left to train or to evaluate, after so many steps.
    func isEnd(of configuration: RunConfiguration, steps: Int, best: Best?) -> Bool {
      epoch > configuration.epochs || isEvaluated && steps >= configuration.optimizer.totalSteps
        || isOutOfPatience(configuration, best)
    }

    /// Whether so many epochs were evaluated since the last better one that the run's patience is at its end.
    func isOutOfPatience(_ configuration: RunConfiguration, _ best: Best?) -> Bool {
      guard let patience = configuration.patience, let best else { return false }
      let evaluated = isEvaluated && step > 0 ? epoch : epoch - 1
      return evaluated - (best.improved ?? best.epoch) >= patience
    }
  }

  /// The best epoch so far.
  package struct Best: Codable, Sendable {
    package let epoch: Int
    /// The last epoch that was better than all before it; nil, in files of earlier versions, for `epoch`. Equal ones after it
    /// are the best too, and renew no patience.
    package var improved: Int?
    /// Of the validation split.
    package let metrics: EvaluationMetrics
    /// How the thresholds were found.
    package var tuning: ThresholdTuning?
    /// Tuned on that split, one a label, if the run tunes thresholds.
    package var thresholds: [Float]?
    /// Whether the weights are the averaged ones; nil where there are none.
    package var isAveraged: Bool?

    private enum CodingKeys: String, CodingKey {
      case epoch, improved, metrics, tuning, thresholds
      case isAveraged = "averaged"
    }
  }

  /// What a checkpoint has besides tensors.
  package struct Record: Codable, Sendable {
    /// The format's version.
    package var version = 1
    /// Steps taken.
    package let step: Int
    package let position: Position
    package let best: Best?
    package let configuration: RunConfiguration
    package let data: DatasetFingerprint
    /// Nil in the files of earlier versions.
    package let stepsPerEpoch: Int?
    /// Bytes of `metrics.jsonl` and, if there is one, `digests.jsonl`, which are on disk before the checkpoint is.
    package let metricsBytes: Int
    package let digestsBytes: Int?
    /// Bytes of the event files by their names below `tensorboard/`, likewise.
    package var eventBytes: [String: Int]?
    /// Seconds spent in steps.
    package let seconds: Double

    /// What no run writes, in words; nil if there is nothing of it. Checksums only tell that a file is what was written.
    var contradiction: String? {
      if let contradiction = configuration.contradiction { return contradiction }
      if !(0..<Int(Int32.max)).contains(step) { return "step \(step)" }
      // A run that continued with fewer epochs is behind its last one.
      if !(1...RunConfiguration.maximumEpochs + 1).contains(position.epoch) { return "epoch \(position.epoch)" }
      if !(0...step).contains(position.step) { return "step \(position.step) of an epoch after \(step) steps" }
      if position.epoch > 1, best == nil { return "epoch \(position.epoch) without a best one" }
      if let best, !(1...position.epoch).contains(best.epoch) || !(1...best.epoch).contains(best.improved ?? best.epoch)
      {
        return "a best epoch \(best.epoch) in epoch \(position.epoch)"
      }
      if let thresholds = best?.thresholds, thresholds.count != configuration.model.labels {
        return "\(thresholds.count) thresholds for \(configuration.model.labels) labels"
      }
      if position.isEvaluated, best == nil { return "an evaluation without a best epoch" }
      if !(0...step).contains(position.skips) { return "\(position.skips) steps left out of \(step)" }
      if !(0...Int(Int32.max)).contains(epochSteps) { return "epochs of \(epochSteps) steps" }
      if metricsBytes < 0 || digestsBytes ?? 0 < 0 { return "files of \(metricsBytes), \(digestsBytes ?? 0) bytes" }
      if let bytes = eventBytes?.values.first(where: { $0 < 0 }) { return "an event file of \(bytes) bytes" }
      if data.files.count != 3 { return "a data set of \(data.files.count) files" }
      if !(seconds >= 0 && seconds.isFinite) { return "\(seconds) seconds" }
      return nil
    }
  }

  static let metadataKey = "carat"
  static let bestPrefix = "best."

  package let record: Record
  private let file: SafetensorsFile

  package var path: String { file.path }

  /// Opens a checkpoint and compares all of it with its checksums.
  ///
  /// - Throws: naming what is damaged or missing.
  package init(path: String) throws(DataError) {
    file = try SafetensorsFile(path: path)
    try Checksums.verify(file)
    do {
      record = try JSON.decoder().decode(Record.self, from: Data((file.metadata[Self.metadataKey] ?? "").utf8))
    } catch {
      throw DataError(
        file: path, expected: "a checkpoint of this program's version", found: JSON.reason(error),
        remedy: "resume with the version that wrote it")
    }
    guard record.version == 1 else {
      throw DataError(
        file: path, expected: "a checkpoint of version 1", found: "version \(record.version)",
        remedy: "resume with the version that wrote it")
    }
    if let contradiction = record.contradiction { throw Self.impossible(path, contradiction) }
  }

  /// Whether a run of these settings, with `totalSteps` set, that continues from here has nothing to do.
  package func isEnd(of configuration: RunConfiguration) -> Bool {
    record.position.isEnd(of: configuration, steps: record.step, best: record.best)
  }

  /// - Throws: if the record can't be of a run of so many steps an epoch, or of the state beside it.
  func check(stepsPerEpoch: Int, state: TrainingState) throws(DataError) {
    if record.position.step > stepsPerEpoch {
      throw Self.impossible(path, "step \(record.position.step) of an epoch of \(stepsPerEpoch)")
    }
    if record.step != state.step {
      throw Self.impossible(path, "a record of step \(record.step) beside a state of step \(state.step)")
    }
  }

  private static func impossible(_ path: String, _ found: String) -> DataError {
    DataError(
      file: path, expected: "the place of a run between two of its steps", found: found,
      remedy: "use an older checkpoint or a copy")
  }

  /// Puts the training state where it was.
  func load(into state: TrainingState) throws(DataError) { try state.load(from: file) }

  /// Gives the best epoch's weights to `state`.
  func loadBest(into state: TrainingState) throws(DataError) {
    try state.loadWeights(from: file, prefix: Self.bestPrefix)
  }

  /// SHA-256 of the whole training state, as `TrainingState.digest` gives it: of the tensors that are the state, in
  /// their order.
  package func digest() -> String {
    // Whoever asks may keep no checkpoint.
    withExtendedLifetime(file) {
      TensorDigest.digest(
        stateNames.map {
          ($0, file.shape(of: $0) ?? [], file.bytes(of: $0) ?? UnsafeRawBufferPointer(start: nil, count: 0))
        })
    }
  }

  /// The tensors that are the training state: neither the best weights nor a checksum.
  private var stateNames: [String] {
    file.names.filter { !$0.hasPrefix(Self.bestPrefix) && $0 != Checksums.headerSum }
  }

  /// Calls `body` with the name and bytes of each tensor of the training state.
  func forEachStateTensor(_ body: (String, FileBytes) -> Void) {
    for name in stateNames {
      if let bytes = file.bytes(of: name) { body(name, FileBytes(file, bytes)) }
    }
  }
}
