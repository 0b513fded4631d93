import Files
import Foundation
import Parallel
import Tensor

// What a run measures: each epoch's weights on the validation split, the best ones on the test split.
extension Trainer {
  /// What the validation split says of an epoch's weights.
  struct Validation {
    let metrics: EvaluationMetrics
    /// Tuned on the split, if the run does that.
    let thresholds: [Float]?
    /// Whether the weights are the averaged ones.
    let isAveraged: Bool
    /// [N, C], row by row.
    let scores: [Float]
  }

  /// Measures the weights, or their average, on the validation split; nil if it was stopped. What can't be measured is no
  /// reason to lose the epoch: it is saved first.
  func validate(
    averaged isAveraged: Bool = false, unless shouldStop: () -> Bool, _ report: (Progress) -> Void
  ) throws -> Validation? {
    do {
      let (c, split) = (configuration, dataset.valid)
      let measured = try state.withAverage(isAveraged) { try scores(of: split, unless: shouldStop, report) }
      guard let (scores, faults) = measured else { return nil }
      try record(faults)
      try act(on: faults)
      return Validation(
        metrics: Evaluator.metrics(scores, of: split, thresholds: split.thresholds(c.threshold)),
        thresholds: c.tuneThreshold?.thresholds(
          scores: scores, labels: split.allLabels, labelCount: split.labelNames.count, fallback: c.threshold),
        isAveraged: isAveraged, scores: scores)
    } catch let error as NonFiniteScores {
      try save()
      try recorder?.wait()
      throw error
    }
  }

  /// Records an epoch's validation, and keeps the weights if none were better.
  func accept(_ valid: Validation, _ report: (Progress) -> Void) throws {
    let metric = configuration.bestBy ?? .microF1
    let isBetter = metric.isBetter(valid.metrics, than: best?.metrics)
    // Of equal ones the later, but averaged weights only if they are better.
    let isBest = isBetter || !valid.isAveraged && metric.prefers(valid.metrics, to: best?.metrics)
    let isAveraged = state.average == nil ? nil : valid.isAveraged
    if isBest {
      best = Checkpoint.Best(
        epoch: position.epoch, improved: isBetter ? position.epoch : best?.improved ?? best?.epoch,
        metrics: valid.metrics, tuning: valid.thresholds == nil ? nil : configuration.tuneThreshold,
        thresholds: valid.thresholds, isAveraged: isAveraged)
      try state.withAverage(valid.isAveraged) { try recorder?.keepBest(state, thresholds: valid.thresholds) }
    }
    let record = EvaluationRecord(
      event: "evaluation", split: "valid", step: state.step, epoch: position.epoch, metrics: valid.metrics,
      best: isBest, weights: isAveraged.map(EvaluationRecord.Weights.init))
    try recorder?.append(evaluation: record, scores: valid.scores, of: dataset.valid)
    report(.evaluation(record))
  }

  /// What the best epoch's weights make of the test split; nil if it was stopped.
  func test(unless shouldStop: () -> Bool, _ report: (Progress) -> Void) throws -> Result? {
    let c = configuration
    let digest = recorder == nil ? "" : state.digest()
    let summary = PlacementSummary(
      numa: team.placement.effectivePolicy, pages: placement?.pages ?? 0, elsewhere: placement?.elsewhere ?? 0,
      replicas: state.replicas.count, replicasEqual: state.replicasAreEqual)
    guard let best else { preconditionFailure("a run of \(state.step) steps evaluated none") }
    recorder?.restoreBest(state)
    state.shareWeights(communicator)
    let split = dataset.test
    guard let (scores, faults) = try scores(of: split, unless: shouldStop, report) else { return nil }
    // The run's end has been saved, and the state has the best weights now.
    try record(faults)
    try act(on: faults, isSaved: true)
    let test = Evaluator.metrics(scores, of: split, thresholds: split.thresholds(c.threshold))
    let tuned = best.thresholds.map { Result.Tuned(best.tuning, $0, scores, split) }
    let weights = best.isAveraged.map(EvaluationRecord.Weights.init)
    let record = EvaluationRecord(
      event: "evaluation", split: "test", step: state.step, epoch: best.epoch, metrics: test, best: true,
      weights: weights, tuned: tuned)
    try recorder?.append(evaluation: record, scores: scores, of: split)
    report(.evaluation(record))
    return Result(
      test: test, valid: best.metrics, tuned: tuned, bestEpoch: best.epoch, weights: weights, steps: state.step,
      secondsPerStep: seconds / Double(max(state.step, 1)),
      samplesPerSecond: Double(state.step * c.batchSize) / max(seconds, 1e-9), peakMiB: peakMemory(),
      maxSteps: c.maxSteps,
      stoppedEarly: position.isOutOfPatience(c, best) && state.step < c.optimizer.totalSteps ? true : nil,
      workers: team.ranks.workerCount, ranks: team.ranks.size, audit: options.audit == nil ? nil : auditCounts,
      placement: summary,
      environment: .current, time: timestamp(), digest: digest)
  }

  /// A split's scores; nil if it was stopped. Audited runs compute them on other cores again, and tell what was found.
  private func scores(
    of split: DatasetSplit, unless shouldStop: () -> Bool, _ report: (Progress) -> Void
  ) throws -> (scores: [Float], faults: [Fault])? {
    func compute(_ evaluator: Evaluator, _ notes: StepNotes? = nil) throws -> [Float]? {
      try evaluator.scores(of: split, notes: notes, unless: shouldStop) {
        report(.evaluating(split: split.name, done: $0, count: split.count))
      }
    }
    guard let auditor else { return try compute(evaluator).map { ($0, []) } }
    return try auditor.scores { step, notes in try compute(step === self.step ? evaluator : Evaluator(step), notes) }
  }
}
