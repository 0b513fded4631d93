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
      uniqueKeysWithValues: result.terms.map { ($0.key.rawValue, String(Self.one($0.value).bitPattern, radix: 16)) })
    func digests(_ values: Parameters) -> [String: String] {
      Dictionary(
        uniqueKeysWithValues: training.model.trained.map { parameter in
          (parameter.name, Self.digest(values[parameter].elements, isFinite: result.isFinite))
        })
    }
    gradients = digests(training.reduction.gradient)
    parameters = digests(training.state.parameters)
  }

  private static func digest(_ values: UnsafeMutableBufferPointer<Float>, isFinite: Bool) -> String {
    let digest =
      isFinite
      ? SHA256.digest(of: UnsafeRawBufferPointer(values))
      : values.map { one($0) }.withUnsafeBytes { SHA256.digest(of: $0) }
    return SHA256.hexadecimal(digest.prefix(8))
  }

  /// A value, or the one NaN that stands for all: their signs and payloads only say which operand came first.
  private static func one<T: BinaryFloatingPoint>(_ value: T) -> T { value.isNaN ? .nan : value }
}
