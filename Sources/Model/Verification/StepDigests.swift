import Files
import Tensor

/// The digests of one training step: of each loss term, and of each trained tensor's gradient and new value. Two runs
/// that should be equal part where these part.
package struct StepDigests: Codable, Sendable, Equatable {
  /// Steps taken, this one included.
  package let step: Int
  /// A term's value in hexadecimal, exactly.
  package let terms: [String: String]
  /// The first 64 bits of SHA-256 over a tensor's bytes, in hexadecimal.
  package let gradients: [String: String]
  package let parameters: [String: String]

  init(_ result: StepResult, _ training: TrainingStep) {
    step = training.state.step
    terms = Dictionary(
      uniqueKeysWithValues: result.terms.map { ($0.key.rawValue, String($0.value.bitPattern, radix: 16)) })
    func digests(_ values: Parameters) -> [String: String] {
      Dictionary(
        uniqueKeysWithValues: training.model.trained.map { parameter in
          let bytes = UnsafeRawBufferPointer(values[parameter].elements)
          return (parameter.name, SHA256.hexadecimal(SHA256.digest(of: bytes).prefix(8)))
        })
    }
    gradients = digests(training.reduction.gradient)
    parameters = digests(training.state.parameters)
  }
}
