import Parallel
import Tensor

/// LayerNorm of a modality's raw features, before anything else.
struct FeatureNorm {
  let gain: Parameter
  let bias: Parameter

  init(_ m: ModelConfiguration.Modality, in layout: inout ParameterLayout) {
    gain = layout.add(m.name + "_norm.norm2d.weight", m.features, initial: .ones, bySample: true)
    bias = layout.add(m.name + "_norm.norm2d.bias", m.features, initial: .zeros, bySample: true)
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

  /// From the gradient of the output, `d` [R, F], which is overwritten, each sample's of gain and bias.
  func backward(
    _ d: Matrix, normalized: Matrix, inverse: Matrix, _ samples: (count: Int, rows: (_ sample: Int) -> Range<Int>),
    _ θ: Parameters, addingTo gradients: GradientRows
  ) {
    for s in 0..<samples.count {
      let (rows, gradient) = (samples.rows(s), gradients[s])
      LayerNorm.backward(
        d.rows(rows), normalized: normalized.rows(rows), inverseDeviation: inverse.base + rows.lowerBound, affine(θ),
        into: d.rows(rows), addingTo: LayerNorm.Affine(gain: gradient[gain], bias: gradient[bias]))
    }
  }
}
