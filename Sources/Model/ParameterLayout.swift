import Parallel
import Tensor

/// One tensor's place in a flat buffer of parameters, under its name in PyTorch checkpoints.
package struct Parameter: Sendable, Equatable {
  package let name: String
  package let shape: [Int]
  /// Its first element in the flat buffer.
  package let offset: Int
  let initial: InitialValues
  /// Its first element among a sample's gradients, if it is one of those, see `SampleGradients`.
  let sampleOffset: Int?

  /// All but the last dimension; 1 for a vector.
  package let rows: Int
  package let columns: Int
  /// Whether weight decay applies: not to biases, nor to gains of norms called LayerNorm.
  let decays: Bool

  init(name: String, shape: [Int], offset: Int, initial: InitialValues, sampleOffset: Int? = nil) {
    self.name = name
    self.shape = shape
    self.offset = offset
    self.initial = initial
    self.sampleOffset = sampleOffset
    rows = shape.dropLast().reduce(1, *)
    columns = shape.last ?? 1
    decays = !name.contains("bias") && !name.contains("LayerNorm.weight")
  }

  /// Several adjoining tensors of equal width as one.
  init(joining parts: [Parameter], name: String) {
    precondition(
      zip(parts, parts.dropFirst()).allSatisfy { $0.range.upperBound == $1.offset && $0.columns == $1.columns },
      "\(name) of tensors that do not adjoin")
    let shape = [parts.reduce(0) { $0 + $1.rows }, parts[0].columns]
    // A bias's matrix is one row.
    self.init(
      name: name, shape: parts[0].shape.count == 1 ? [shape[0] * shape[1]] : shape, offset: parts[0].offset,
      initial: .zeros, sampleOffset: parts[0].sampleOffset)
  }

  package var count: Int { rows * columns }
  package var range: Range<Int> { offset..<offset + count }
}

/// How a tensor starts: as the released code does it.
package enum InitialValues: Sendable, Equatable {
  case zeros, ones
  case normal(deviation: Float)
  case uniform(bound: Float)

  /// BERT's N(0, 0.02).
  static let bert = InitialValues.normal(deviation: 0.02)

  /// Glorot and Bengio's uniform distribution.
  static func xavier(inputs: Int, outputs: Int) -> InitialValues {
    .uniform(bound: (6 / Float(inputs + outputs)).squareRoot())
  }

  /// PyTorch's default for a linear layer's bias: uniform within ±1/√inputs.
  static func byFanIn(_ inputs: Int) -> InitialValues { .uniform(bound: 1 / Float(inputs).squareRoot()) }

  func fill(_ p: UnsafeMutablePointer<Float>, count: Int, key: RandomKey, stream: Int) {
    switch self {
    case .zeros: p.update(repeating: 0, count: count)
    case .ones: p.update(repeating: 1, count: count)
    case .normal(let deviation):
      key.fillNormal(p, count: count, stream: UInt32(stream), deviation: deviation)
    case .uniform(let bound): key.fillUniform(p, count: count, stream: UInt32(stream), bound: bound)
    }
  }
}

/// The one list of (name, shape) from which every flat buffer follows: parameters, gradients, both moments.
///
/// Tensors start on cache lines; what one product reads together (query, key, value) follows without a gap.
/// Modules add their tensors while they are built, so each module's tensors are one contiguous range.
package struct ParameterLayout: Sendable {
  package private(set) var parameters: [Parameter] = []
  /// Floats in a flat buffer, gaps included.
  package private(set) var count = 0
  /// Floats of one sample's gradients, see `SampleGradients`.
  private(set) var sampleCount = 0

  /// Weights that products read packed, see `PackedWeight`.
  private(set) var packed: [PackedWeight] = []
  /// Floats of all of them, in both orders.
  private(set) var packedCount = 0

  static let alignment = 16

  /// Has a weight packed for products.
  mutating func pack(_ weight: Parameter) -> PackedWeight {
    func place(inner: Int, columns: Int) -> Int {
      defer { packedCount += roundedUp(PackedMatrix.capacity(inner: inner, columns: columns), to: Self.alignment) }
      return packedCount
    }
    packed.append(
      PackedWeight(
        weight: weight, forward: place(inner: weight.columns, columns: weight.rows),
        backward: place(inner: weight.rows, columns: weight.columns)))
    return packed[packed.count - 1]
  }

  /// Adds a tensor at the end; `adjoining` puts it right behind the last one.
  ///
  /// - Parameter bySample: whether its gradient is made sample by sample, see `SampleGradients`.
  mutating func add(
    _ name: String, _ shape: Int..., initial: InitialValues, adjoining: Bool = false, bySample: Bool = false
  ) -> Parameter {
    precondition(shape.allSatisfy { $0 >= 0 }, "shape \(shape) of \(name)")
    if !adjoining {
      count = roundedUp(count, to: Self.alignment)
      sampleCount = roundedUp(sampleCount, to: Self.alignment)
    }
    let parameter = Parameter(
      name: name, shape: shape, offset: count, initial: initial, sampleOffset: bySample ? sampleCount : nil)
    parameters.append(parameter)
    count += parameter.count
    if bySample { sampleCount += parameter.count }
    return parameter
  }
}

/// A weight W [outputs, inputs] as products read it: packed for x Wᵀ and for dy W, at places in a buffer beside the flat
/// one.
struct PackedWeight {
  let weight: Parameter
  fileprivate let forward: Int
  fileprivate let backward: Int
}

/// A view of a flat buffer with a layout: parameters, a copy of them, or gradients. Subscripting by a
/// `Parameter` gives its matrix [rows, columns].
package struct Parameters: @unchecked Sendable {
  // Proof of Sendable: an address, as `Matrix`; the phases of a step settle who writes.

  /// Where element 0 of the layout is, or would be if the view holds only a part of it.
  let origin: UnsafeMutablePointer<Float>
  /// Where the packed weights are, of a copy that products read.
  private let packed: UnsafeMutablePointer<Float>?

  init(_ base: UnsafeMutablePointer<Float>, from first: Int = 0, packed: UnsafeMutablePointer<Float>? = nil) {
    origin = base - first
    self.packed = packed
  }

  /// Wᵀ [inputs, outputs], as `pack` left it.
  func forward(_ weight: PackedWeight) -> PackedMatrix {
    PackedMatrix(packedBase + weight.forward, inner: weight.weight.columns, columns: weight.weight.rows)
  }

  /// W [outputs, inputs], as `pack` left it.
  func backward(_ weight: PackedWeight) -> PackedMatrix {
    PackedMatrix(packedBase + weight.backward, inner: weight.weight.rows, columns: weight.weight.columns)
  }

  private var packedBase: UnsafeMutablePointer<Float> {
    guard let packed else { preconditionFailure("a product by parameters that are not packed") }
    return packed
  }

  /// Packs one part of several equal ones of all weights that products read.
  ///
  /// - Parameter backward: whether also for products in backward.
  func pack(_ layout: ParameterLayout, part: Int = 0, parts: Int = 1, backward: Bool = true) {
    forEachPacked(layout, part: part, parts: parts, backward: backward) { weight, packed, panels, isForward in
      if isForward {
        packed.fill(fromTransposed: self[weight], panels: panels)
      } else {
        packed.fill(from: self[weight], panels: panels)
      }
    }
  }

  /// Calls `body` with the panels of a part, see `pack`.
  func forEachPacked(
    _ layout: ParameterLayout, part: Int, parts: Int, backward: Bool,
    _ body: (_ weight: Parameter, PackedMatrix, _ panels: Range<Int>, _ isForward: Bool) -> Void
  ) {
    // Panels differ in height: a part is those whose first float lies in its share of all floats.
    let own = slice(of: layout.packedCount, part: part, parts: parts)
    func panels(_ matrix: PackedMatrix, at place: Int) -> Range<Int> {
      let size = PackedMatrix.capacity(inner: matrix.inner, columns: 1)
      func first(_ position: Int) -> Int { min(max((position - place + size - 1) / size, 0), matrix.panelCount) }
      return first(own.lowerBound)..<first(own.upperBound)
    }
    for weight in layout.packed {
      let forward = forward(weight)
      body(weight.weight, forward, panels(forward, at: weight.forward), true)
      if !backward { continue }
      let other = self.backward(weight)
      body(weight.weight, other, panels(other, at: weight.backward), false)
    }
  }

  package subscript(parameter: Parameter) -> Matrix {
    Matrix(origin + parameter.offset, rows: parameter.rows, columns: parameter.columns)
  }

  func pointer(_ parameter: Parameter) -> UnsafeMutablePointer<Float> { origin + parameter.offset }
}

/// One sample's gradients of the parameters that are no factor of a matrix product over time steps: biases, norms, and
/// what there is a row of for each label. They are leaves of the sum over samples, and few floats.
struct SampleGradients {
  let base: UnsafeMutablePointer<Float>

  subscript(parameter: Parameter) -> Matrix {
    Matrix(pointer(parameter), rows: parameter.rows, columns: parameter.columns)
  }

  func pointer(_ parameter: Parameter) -> UnsafeMutablePointer<Float> {
    guard let offset = parameter.sampleOffset else {
      preconditionFailure("\(parameter.name), whose gradient is not made sample by sample")
    }
    return base + offset
  }
}

/// The gradients of consecutive samples, [n, floats of one].
struct GradientRows {
  let values: Matrix

  /// Those of a sample.
  subscript(sample: Int) -> SampleGradients { SampleGradients(base: values.row(sample)) }

  subscript(samples: Range<Int>) -> GradientRows { GradientRows(values: values.rows(samples)) }

  /// Zeroes a stretch of each sample's.
  func zero(_ stretch: Range<Int>) { values.columns(stretch).fill(0) }
}

func roundedUp(_ count: Int, to multiple: Int) -> Int { (count + multiple - 1) / multiple * multiple }
