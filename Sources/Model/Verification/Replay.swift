import Files
import Foundation
import Parallel
import Tensor

/// Repeats recorded steps and compares: terms, scores and gradients of each step, then state and evaluation scores.
///
/// A tensor's difference is relative to its largest magnitude. Key biases are left out: softmax ignores a constant,
/// so their gradient is rounding around zero, which Adam magnifies.
package struct Replay: Codable, Sendable {
  /// The worst of some compared values.
  package struct Worst: Codable, Sendable {
    package var difference = 0.0
    package var name = ""

    mutating func include(_ difference: Double, _ name: String) {
      // NaN is worse than anything and stays: nothing is greater than it.
      if difference > self.difference || difference.isNaN { (self.difference, self.name) = (difference, name) }
    }
  }

  package struct Step: Codable, Sendable {
    /// Loss and loss terms.
    package var terms = Worst()
    package var scores = Worst()
    package var gradients = Worst()
  }

  package let file: String
  package var steps: [Step] = []
  package var state = Worst()
  package var evaluation = Worst()

  package static let termTolerance = 1e-5
  package static let tensorTolerance = 1e-4

  /// Whether all differences are within tolerance.
  package var passes: Bool {
    steps.allSatisfy {
      $0.terms.difference <= Self.termTolerance && $0.scores.difference <= Self.tensorTolerance
        && $0.gradients.difference <= Self.tensorTolerance
    } && state.difference <= Self.tensorTolerance && evaluation.difference <= Self.tensorTolerance
  }

  /// Runs the recorded steps on a team.
  ///
  /// - Throws: `DataError` for what is wrong in the file, `MemoryShortage` and `MemoryError` where memory is short.
  package init(_ golden: GoldenFile, team: WorkerTeam) throws {
    file = golden.file.path
    try MemoryNeed.check(golden.configuration, samples: golden.batchSize)
    let model = CARATModel(golden.configuration)
    let state = try TrainingState(model, placement: team.placement)
    try state.loadWeights(from: golden.file, prefix: "initial.")
    let training = try TrainingStep(
      state, optimizer: golden.optimizer, batchSize: golden.batchSize, team: team, seed: 0)
    let batch = Batch(golden.configuration, capacity: golden.batchSize)
    for k in 0..<golden.steps {
      try golden.fill(batch, step: k)
      let result = training.train(on: batch, dropout: false)
      steps.append(try Self.compare(result, training, golden, step: k))
    }
    try state.withWeights { tensors in
      for tensor in tensors where !Self.isRounding(tensor.name) && tensor.element == .float32 {
        let own = Array(tensor.bytes.bindMemory(to: Float.self))
        self.state.include(
          relativeDifference(own, try golden.file.floats("final." + tensor.name, shape: tensor.shape)), tensor.name)
      }
    }
    let scores = training.evaluate(batch)
    evaluation.include(
      relativeDifference(Array(scores.elements), try golden.file.floats("eval.scores")), "eval.scores")
  }

  private static func compare(
    _ result: StepResult, _ training: TrainingStep, _ golden: GoldenFile, step k: Int
  ) throws -> Step {
    var step = Step()
    let file = golden.file
    for (term, value) in result.terms {
      let expected = Double(try file.scalar("step\(k).term.\(term.rawValue)"))
      step.terms.include(abs(value - expected) / max(abs(expected), 1e-30), term.rawValue)
    }
    let loss = Double(try file.scalar("step\(k).loss"))
    step.terms.include(abs(result.loss - loss) / max(abs(loss), 1e-30), "loss")
    let scores = try file.floats("step\(k).scores")
    step.scores.include(relativeDifference(Array(training.scores.elements), scores), "scores")
    for parameter in training.model.trained where !isRounding(parameter.name) {
      let expected = try file.floats("step\(k).gradient.\(parameter.name)", shape: parameter.shape)
      let own = training.reduction.gradient[parameter].elements
      step.gradients.include(relativeDifference(Array(own), expected), parameter.name)
    }
    return step
  }

  private static func isRounding(_ name: String) -> Bool { name.hasSuffix("attention.self.key.bias") }
}

/// The largest |a − b|, relative to the largest |b|; infinite where the numbers of elements differ.
private func relativeDifference(_ a: [Float], _ b: UnsafeBufferPointer<Float>) -> Double {
  guard a.count == b.count else { return .infinity }
  var (difference, magnitude) = (Float(0), Float(0))
  for i in a.indices {
    let d = abs(a[i] - b[i])
    if d > difference || d.isNaN { difference = d }
    magnitude = max(magnitude, abs(b[i]))
  }
  return difference == 0 ? 0 : Double(difference) / Double(max(magnitude, 1e-30))
}
