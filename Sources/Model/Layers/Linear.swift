import Tensor

/// y = x Wᵀ + b: x [rows, inputs], W [outputs, inputs], b [outputs].
struct Linear {
  let weight: Parameter
  let bias: Parameter

  init(weight: Parameter, bias: Parameter) {
    self.weight = weight
    self.bias = bias
  }

  /// A linear layer of an encoder unless told otherwise.
  init(
    _ name: String, inputs: Int, outputs: Int, weights: InitialValues = .bert, biases: InitialValues = .zeros,
    in layout: inout ParameterLayout
  ) {
    weight = layout.add(name + ".weight", outputs, inputs, initial: weights)
    bias = layout.add(name + ".bias", outputs, initial: biases)
  }

  /// y ← x Wᵀ; the pass that follows adds the bias, or `forward` does.
  func product(_ x: Matrix, _ θ: Parameters, into y: Matrix) {
    MatrixProduct.multiply(x, byTransposed: θ[weight], into: y)
  }

  func forward(_ x: Matrix, _ θ: Parameters, into y: Matrix) {
    product(x, θ, into: y)
    addBias(y, θ.pointer(bias))
  }

  /// dx ← dy W + keep · dx.
  func backwardInput(_ dy: Matrix, _ θ: Parameters, into dx: Matrix, keep: Float = 0) {
    MatrixProduct.multiply(dy, by: θ[weight], into: dx, keep: keep)
  }

  /// dW ← dyᵀ x.
  func backwardWeight(_ x: Matrix, _ dy: Matrix, into gradient: Parameters) {
    MatrixProduct.multiply(dy, transposed: true, by: x, into: gradient[weight])
  }

  /// dW ← dyᵀ x and db ← Σ over rows of dy.
  func backwardParameters(_ x: Matrix, _ dy: Matrix, into gradient: Parameters) {
    backwardWeight(x, dy, into: gradient)
    gradient.zero(bias)
    addColumnSums(of: dy, to: gradient.pointer(bias))
  }
}
