import Parallel
import Tensor

/// Linear layers with rectifiers between them.
///
/// CARAT applies the same MLP to several blocks of rows (a modality's plain, alpha and beta vectors, say), which
/// become known one after the other. The blocks are stacked in one set of buffers: forward and the gradient of the
/// input go block by block, the weights' gradient is one product over all rows.
struct MLP {
  let layers: [Linear]
  let sizes: [Int]

  /// - Parameter sizes: inputs, hidden sizes …, outputs.
  init(_ name: String, sizes: [Int], in layout: inout ParameterLayout) {
    self.sizes = sizes
    layers = (0..<sizes.count - 1).map { i in
      let last = i == sizes.count - 2
      return Linear(
        last ? name + ".output" : name + ".linear.\(i)", inputs: sizes[i], outputs: sizes[i + 1],
        weights: .xavier(inputs: sizes[i], outputs: sizes[i + 1]), biases: .byFanIn(sizes[i]), in: &layout)
    }
  }

  /// One matrix a layer boundary: the input, each hidden layer, the output; [rows, size] each.
  struct Rows {
    let levels: [Matrix]
    var input: Matrix { levels[0] }
    var output: Matrix { levels[levels.count - 1] }

    /// The first `count` rows, for a batch that is not full.
    func first(_ count: Int) -> Rows { Rows(levels: levels.map { $0.rows(0..<count) }) }
    func rows(_ range: Range<Int>) -> Rows { Rows(levels: levels.map { $0.rows(range) }) }
  }

  func makeRows(_ count: Int, in arena: Arena) throws -> Rows {
    Rows(levels: try sizes.map { try arena.matrix(rows: count, columns: $0) })
  }

  /// Fills hidden layers and output from the input.
  func forward(_ x: Rows, _ θ: Parameters) {
    for (i, layer) in layers.enumerated() {
      layer.product(x.levels[i], θ, into: x.levels[i + 1])
      if i + 1 < layers.count {
        ReLU.forward(x.levels[i + 1], bias: θ.pointer(layer.bias))
      } else {
        addBias(x.levels[i + 1], θ.pointer(layer.bias))
      }
    }
  }

  /// From the output's gradient in `d.output`, those of the hidden layers and the input.
  func backwardInput(_ x: Rows, _ d: Rows, _ θ: Parameters) {
    for (i, layer) in layers.enumerated().reversed() {
      layer.backwardInput(d.levels[i + 1], θ, into: d.levels[i])
      if i > 0 { ReLU.backward(output: x.levels[i], d.levels[i]) }
    }
  }

  /// The weights' gradients, over all rows.
  func backwardParameters(_ x: Rows, _ d: Rows, into gradient: Parameters) {
    for (i, layer) in layers.enumerated() {
      layer.backwardParameters(x.levels[i], d.levels[i + 1], into: gradient)
    }
  }
}
