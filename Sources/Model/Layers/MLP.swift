import Parallel
import Tensor

/// A linear layer, or two with a rectifier between them: output(max(hidden(x), 0)).
///
/// CARAT applies the same MLP to several blocks of rows (a modality's plain, alpha and beta vectors, say), which
/// become known one after the other. The blocks are stacked in one set of buffers: forward and the gradient of the
/// input go block by block, the weights' gradient is one sum over all of them.
struct MLP {
  let hidden: Linear?
  let output: Linear
  private let sizes: (input: Int, hidden: Int, output: Int)

  /// - Parameter hiddenSize: 0 for a single linear layer.
  init(_ name: String, inputs: Int, hiddenSize: Int = 0, outputs: Int, in layout: inout ParameterLayout) {
    func layer(_ suffix: String, _ inputs: Int, _ outputs: Int) -> Linear {
      Linear(
        name + suffix, inputs: inputs, outputs: outputs, weights: .xavier(inputs: inputs, outputs: outputs),
        biases: .byFanIn(inputs), in: &layout)
    }
    hidden = hiddenSize > 0 ? layer(".linear.0", inputs, hiddenSize) : nil
    output = layer(".output", hiddenSize > 0 ? hiddenSize : inputs, outputs)
    sizes = (inputs, hiddenSize, outputs)
  }

  /// Input, hidden layer and output, [rows, size] each; or their gradients.
  struct Rows {
    let input: Matrix
    /// No columns where there is no hidden layer.
    let hidden: Matrix
    let output: Matrix

    func rows(_ range: Range<Int>) -> Rows {
      Rows(input: input.rows(range), hidden: hidden.rows(range), output: output.rows(range))
    }

    /// Block i of equal blocks.
    func block(_ i: Int, of blocks: Int) -> Rows {
      let count = input.rows / blocks
      return rows(i * count..<(i + 1) * count)
    }
  }

  func makeRows(_ count: Int, in arena: Arena) throws -> Rows {
    Rows(
      input: try arena.matrix(rows: count, columns: sizes.input),
      hidden: try arena.matrix(rows: count, columns: sizes.hidden),
      output: try arena.matrix(rows: count, columns: sizes.output))
  }

  /// Fills the hidden layer and the output from the input.
  func forward(_ x: Rows, _ θ: Parameters) {
    if let hidden {
      hidden.forward(x.input, θ, into: x.hidden)
      ReLU.forward(x.hidden)
      output.forward(x.hidden, θ, into: x.output)
    } else {
      output.forward(x.input, θ, into: x.output)
    }
  }

  /// From the output's gradient in `d.output`, those of the hidden layer and the input.
  func backwardInput(_ x: Rows, _ d: Rows, _ θ: Parameters) {
    if let hidden {
      output.backwardInput(d.output, θ, into: d.hidden)
      ReLU.backward(output: x.hidden, d.hidden)
      hidden.backwardInput(d.hidden, θ, into: d.input)
    } else {
      output.backwardInput(d.output, θ, into: d.input)
    }
  }

  /// Adds what some rows' gradients of the output and the hidden layer say of the biases to one sample's.
  func addBiases(_ d: Rows, to gradient: SampleGradients) {
    if let hidden { addColumnSums(of: d.hidden, to: gradient.pointer(hidden.bias)) }
    addColumnSums(of: d.output, to: gradient.pointer(output.bias))
  }

  /// What the weights' gradients are products of: the rows of a sample in each block, `perSample` of them.
  func weightSources(_ x: [Rows], _ d: [Rows], perSample: Int) -> [WeightSource] {
    func source(_ linear: Linear, _ dy: [Matrix], _ input: [Matrix]) -> WeightSource {
      WeightSource(linear.weight, perSample: perSample * dy.count) { samples, body in
        let rows = samples.lowerBound * perSample..<samples.upperBound * perSample
        for i in dy.indices { body(dy[i].rows(rows), input[i].rows(rows)) }
      }
    }
    guard let hidden else { return [source(output, d.map(\.output), x.map(\.input))] }
    return [
      source(hidden, d.map(\.hidden), x.map(\.input)), source(output, d.map(\.output), x.map(\.hidden)),
    ]
  }
}
