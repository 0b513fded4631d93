import Files
import Foundation
import Parallel
import TensorBoard

/// What rank 0 writes for TensorBoard: the records of `metrics.jsonl`, and besides them distributions, curves and settings.
final class TensorBoardLog {
  private let log: EventLog
  private let groups: [ParameterGroup]
  private let labelNames: [String]

  /// Starts to write, the settings first.
  ///
  /// - Parameter checkpoint: where the run continues, the files cut to what they were then; nil for a new run.
  init(
    _ folder: EventFolder, _ settings: RunConfiguration, _ model: CARATModel, from checkpoint: Checkpoint.Record? = nil
  ) throws {
    groups = ParameterGroup.all(of: model)
    labelNames = settings.labelNames
    log = EventLog(folder, before: checkpoint?.eventBytes ?? [:], host: Host.name) { part in
      guard let checkpoint else { return nil }
      switch part {
      case .settings: return 0
      case .train: return checkpoint.step + 1
      // An epoch's evaluation may be still to do, and may have been done after the checkpoint.
      case .valid, .averaged, .test: return checkpoint.position.isEvaluated ? checkpoint.step + 1 : checkpoint.step
      }
    }
    let json = String(decoding: try JSON.encoder(pretty: true).encode(settings), as: UTF8.self)
    let values = AnySetting.all.compactMap { setting in setting.text(settings).map { (setting.name, $0) } }
    try log.append(
      [.text("config.json", "```json\n\(json)\n```"), try .settings(Dictionary(uniqueKeysWithValues: values))],
      to: .settings, step: 0)
    try log.flush()
  }

  /// A step's scalars, right after it.
  func append(_ record: Trainer.StepRecord, _ training: TrainingStep) throws {
    var values: [EventValue] = [.scalar("loss/total", record.loss)]
    values += record.terms.sorted { $0.key < $1.key }.map { .scalar("loss/\($0.key)", $0.value) }
    values.append(.scalar("gradient_norm/all", record.gradientNorm))
    values += training.gradientNorms.map { .scalar("gradient_norm/\($0.part)", $0.norm) }
    values.append(.scalar("learning_rate", Double(record.learningRate)))
    values.append(.scalar("samples_per_second", record.samplesPerSecond))
    try log.append(values, to: .train, step: record.step)
  }

  /// How the parameters are distributed, and the gradients of the last step, once gathered.
  func appendDistributions(_ training: TrainingStep) throws {
    var values: [EventValue] = []
    for (kind, source) in [("parameters", training.state.parameters), ("gradients", training.reduction.gradient)] {
      for group in groups {
        let buffers = group.tensors.map { UnsafeBufferPointer(source[$0].elements) }
        if let histogram = Histogram(of: buffers) { values.append(.histogram("\(kind)/\(group.name)", histogram)) }
      }
    }
    try log.append(values, to: .train, step: training.state.step)
  }

  /// An evaluation's metrics and each label's curve of precision and recall.
  ///
  /// - Parameter scores: [N, C], row by row.
  func append(_ record: Trainer.EvaluationRecord, scores: [Float], of split: DatasetSplit) throws {
    let metrics = record.metrics
    var values: [EventValue] = [
      .scalar("evaluation/micro_f1", metrics.microF1), .scalar("evaluation/macro_f1", metrics.macroF1),
      .scalar("evaluation/mAP", metrics.meanAveragePrecision), .scalar("evaluation/precision", metrics.precision),
      .scalar("evaluation/recall", metrics.recall), .scalar("evaluation/accuracy", metrics.accuracy),
    ]
    if let crossEntropy = metrics.crossEntropy { values.append(.scalar("evaluation/cross_entropy", crossEntropy)) }
    let (labels, count) = (split.allLabels, labelNames.count)
    for (label, name) in labelNames.enumerated() {
      if let f1 = metrics.labelF1[name] { values.append(.scalar("label_f1/\(name)", f1)) }
      let places = stride(from: label, to: scores.count, by: count)
      values.append(
        try .curve(
          name, PrecisionRecallCurve(scores: places.map { scores[$0] }, truths: places.map { labels[$0] > 0 })))
    }
    // Averaged weights are measured in the same step as the others.
    let part: EventFolder.Part = record.split != "valid" ? .test : record.weights == .averaged ? .averaged : .valid
    try log.append(values, to: part, step: record.step)
    try log.flush()
  }

  /// Bytes of all files, which then are the system's.
  func flushed() throws -> [String: Int] {
    try log.flush()
    return log.lengths
  }

  /// What has to be on disk before a checkpoint with these lengths is.
  var open: [AppendedFile] { log.open }
}

extension TrainingStep {
  /// The norm of all gradients of the last step together, before they were clipped; known to every rank.
  package var gradientNorm: Double { norm { _ in true } }

  /// The same of each modality's encoder, and of what follows the encoders.
  var gradientNorms: [(part: String, norm: Double)] {
    let parts = reduction.slices.tensors.map(model.part)
    return model.parts.map { part in (part, norm { parts[$0] == part }) }
  }

  /// Of the tensors for whose numbers something holds, in the layout's order.
  private func norm(of holds: (Int) -> Bool) -> Double {
    var sum = 0.0
    for (c, chunk) in reduction.slices.chunks.enumerated() where holds(chunk.tensor) {
      sum += Double(reduction.squares[0, c])
    }
    return sum.squareRoot()
  }
}
