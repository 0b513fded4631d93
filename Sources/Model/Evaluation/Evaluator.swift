import Parallel
import Tensor

/// Scores whole splits in evaluation mode, batch by batch, on the team that trains.
package final class Evaluator {
  private let step: TrainingStep
  private let batch: Batch

  package init(_ step: TrainingStep) {
    self.step = step
    batch = Batch(step.model.configuration, capacity: step.batchSize)
  }

  /// What ends an evaluation before its time.
  private struct Stopped: Error {}

  /// Gives the scores of all samples to `body`, batch by batch: the samples' numbers and their scores [n, C] row by
  /// row, between 0 and 1, valid within the call.
  ///
  /// - Parameters:
  ///   - inspects: whether `inspected` is to have latents of all levels within the call.
  ///   - notes: gets checksums of what is written.
  /// - Throws: what `body` throws; `NonFiniteScores` before `body` sees any that is not finite.
  package func forEachBatch(
    of source: any SampleSource, inspects: Bool = false, notes: StepNotes? = nil,
    _ body: (Range<Int>, UnsafeBufferPointer<Float>) throws -> Void
  ) throws {
    for first in stride(from: 0, to: source.count, by: batch.capacity) {
      let samples = first..<min(first + batch.capacity, source.count)
      batch.fill(samples, of: source)
      let next = samples.upperBound..<min(samples.upperBound + batch.capacity, source.count)
      source.prepare(step.own(next), done: step.own(max(0, first - batch.capacity)..<first))
      let scores = step.evaluate(batch, inspects: inspects, notes: notes)
      if let row = (0..<samples.count).first(where: { !scores.rows($0..<$0 + 1).isFinite }) {
        let parameter = step.model.layout.parameters.first { !step.state.parameters[$0].isFinite }
        throw NonFiniteScores(
          sample: samples.lowerBound + row, file: (source as? DatasetSplit)?.path, parameter: parameter?.name)
      }
      try body(samples, UnsafeBufferPointer(scores.elements))
    }
  }

  /// Within a call of `forEachBatch`: what the model made of the n-th sample of the batch.
  func inspected(_ sample: Int) -> InspectedSample { step.inspected(sample) }

  /// Prototypes [2, C, P] of a modality: positive, then negative.
  func prototypes(modality: Int) -> Matrix { step.state.prototypes.values[modality] }

  /// Scores of all samples, [N, C] row by row, between 0 and 1.
  ///
  /// - Throws: `NonFiniteScores`.
  package func scores(of source: any SampleSource) throws -> [Float] {
    var scores = [Float]()
    try forEachBatch(of: source) { scores.append(contentsOf: $1) }
    return scores
  }

  /// Means and each label by itself, of scores that `scores(of:)` gave.
  ///
  /// - Parameter thresholds: one a label.
  package static func report(_ scores: [Float], of split: DatasetSplit, thresholds: [Float])
    -> (metrics: EvaluationMetrics, report: EvaluationReport)
  {
    withLabels(of: split, scores) { scores, labels in
      (
        EvaluationMetrics(scores: scores, labels: labels, labelNames: split.labelNames, thresholds: thresholds),
        EvaluationReport(scores: scores, labels: labels, labelNames: split.labelNames, thresholds: thresholds)
      )
    }
  }

  /// Scores of all samples; nil if `shouldStop`, which is asked before each batch, says so.
  ///
  /// - Parameters:
  ///   - notes: gets checksums of what is written.
  ///   - report: hears after each batch how many samples have been scored.
  func scores(
    of split: DatasetSplit, notes: StepNotes? = nil, unless shouldStop: () -> Bool, report: (_ done: Int) -> Void
  ) throws -> [Float]? {
    var scores = [Float]()
    do {
      try forEachBatch(of: split, notes: notes) {
        if shouldStop() { throw Stopped() }
        scores.append(contentsOf: $1)
        report($0.upperBound)
      }
    } catch is Stopped {
      return nil
    }
    return scores
  }

  /// Compares a split's scores with its labels.
  ///
  /// - Parameter thresholds: one a label.
  static func metrics(_ scores: [Float], of split: DatasetSplit, thresholds: [Float]) -> EvaluationMetrics {
    withLabels(of: split, scores) { scores, labels in
      EvaluationMetrics(scores: scores, labels: labels, labelNames: split.labelNames, thresholds: thresholds)
    }
  }

  private static func withLabels<R>(
    of split: DatasetSplit, _ scores: [Float], _ body: (UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>) -> R
  ) -> R {
    scores.withUnsafeBufferPointer { scores in split.allLabels.withUnsafeBufferPointer { body(scores, $0) } }
  }
}

extension DatasetSplit {
  /// One threshold for each label.
  package func thresholds(_ threshold: Float) -> [Float] { Array(repeating: threshold, count: labelCount) }
}
