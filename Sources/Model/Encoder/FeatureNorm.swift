import Parallel
import Tensor

/// LayerNorm of a modality's raw features, before anything else.
struct FeatureNorm {
  let gain: Parameter
  let bias: Parameter

  init(_ m: ModelConfiguration.Modality, in layout: inout ParameterLayout) {
    gain = layout.add(m.name + "_norm.norm2d.weight", m.features, initial: .ones)
    bias = layout.add(m.name + "_norm.norm2d.bias", m.features, initial: .zeros)
  }

  private func affine(_ θ: Parameters) -> LayerNorm.Affine { LayerNorm.Affine(gain: θ[gain], bias: θ[bias]) }

  /// output [R, F] from raw features [R, F], which are left normalised; 1/deviation [R] is kept.
  func forward(_ features: Matrix, inverse: Matrix, _ θ: Parameters, into output: Matrix) {
    LayerNorm.forward(features, affine(θ), normalized: features, inverseDeviation: inverse.base, into: output)
  }

  /// output again, bit for bit what forward wrote, from normalised features.
  func output(_ normalized: Matrix, _ θ: Parameters, into output: Matrix) {
    LayerNorm.output(normalized: normalized, affine(θ), into: output)
  }

  /// Gradients of gain and bias from that of the output, `d` [R, F], which is overwritten.
  func backward(_ d: Matrix, normalized: Matrix, inverse: Matrix, _ θ: Parameters, into gradient: Parameters) {
    gradient.zero([gain, bias])
    LayerNorm.backward(
      d, normalized: normalized, inverseDeviation: inverse.base, affine(θ), into: d, addingTo: affine(gradient))
  }
}
