import Tensor

/// y = x Wᵀ + b: x [rows, inputs], W [outputs, inputs], b [outputs].
struct Linear {
  let weight: Parameter
  let bias: Parameter
  private let packed: PackedWeight

  /// - Parameters:
  ///   - weight: in the layout already.
  ///   - bias: in the layout already.
  init(weight: Parameter, bias: Parameter, in layout: inout ParameterLayout) {
    self.weight = weight
    self.bias = bias
    packed = layout.pack(weight)
  }

  /// A linear layer of an encoder unless told otherwise.
  init(
    _ name: String, inputs: Int, outputs: Int, weights: InitialValues = .bert, biases: InitialValues = .zeros,
    in layout: inout ParameterLayout
  ) {
    let weight = layout.add(name + ".weight", outputs, inputs, initial: weights)
    let bias = layout.add(name + ".bias", outputs, initial: biases, bySample: true)
    self.init(weight: weight, bias: bias, in: &layout)
  }

  /// y ← x Wᵀ + b.
  func forward(_ x: Matrix, _ θ: Parameters, into y: Matrix) {
    MatrixProduct.multiply(x, by: θ.forward(packed), into: y, .onto(θ.pointer(bias)))
  }

  /// dx ← dy W, or what else the product is to do with dx.
  func backwardInput(_ dy: Matrix, _ θ: Parameters, into dx: Matrix, _ accumulation: Accumulation = .replace) {
    MatrixProduct.multiply(dy, by: θ.backward(packed), into: dx, accumulation)
  }
}
