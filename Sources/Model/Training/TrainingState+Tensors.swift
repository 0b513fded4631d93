import Files
import Foundation
import Tensor

// The state as named tensors: what a PyTorch `state_dict()` of the reference holds, and what training needs besides.
extension TrainingState {
  /// Lets `body` see every tensor of a PyTorch state dict: parameters, prototypes, queue, its labels and pointer.
  func withWeights<R>(_ body: ([TensorSource]) throws -> R) rethrows -> R {
    let c = model.configuration
    var tensors = model.layout.parameters.map {
      TensorSource(name: $0.name, shape: $0.shape, floats: Self.floats(parameters[$0]))
    }
    for (m, modality) in c.modalities.enumerated() {
      for (sign, kind) in ["pos", "neg"].enumerated() {
        let rows = prototypes.values[m].rows(sign * c.labels..<(sign + 1) * c.labels)
        tensors.append(
          TensorSource(
            name: "\(modality.name)_\(kind)_protos", shape: [c.labels, c.latentSize], floats: Self.floats(rows)))
      }
    }
    tensors.append(TensorSource(name: "queue", shape: [c.queueSize, c.latentSize], floats: Self.floats(queue.rows)))
    let queueLabels = (0..<c.queueSize).map { Float(queue.classes[$0]) }
    var pointer = Int64(queue.pointer)
    return try queueLabels.withUnsafeBufferPointer { labels in
      tensors.append(TensorSource(name: "queue_label", shape: [c.queueSize, 1], floats: labels))
      return try withUnsafeBytes(of: &pointer) { bytes in
        tensors.append(TensorSource(name: "queue_ptr", element: .int64, shape: [1], bytes: bytes))
        return try body(tensors)
      }
    }
  }

  /// Lets `body` see the whole state: the weights, both moments, the momentum copy and the step. Of several ranks only
  /// rank 0 has it, after `TrainingStep.gatherMoments`.
  func withTensors<R>(_ body: ([TensorSource]) throws -> R) rethrows -> R {
    precondition(hasAllMoments, "moments of other ranks' parts, before TrainingStep.gatherMoments or on a rank above 0")
    return try withWeights { weights in
      var tensors = weights
      for (prefix, values) in companions {
        tensors += model.trained.map {
          TensorSource(name: prefix + $0.name, shape: $0.shape, floats: Self.floats(values[$0]))
        }
      }
      var number = Int64(step)
      return try withUnsafeBytes(of: &number) { bytes in
        tensors.append(TensorSource(name: "step", element: .int64, shape: [1], bytes: bytes))
        return try body(tensors)
      }
    }
  }

  /// What has a value for each trained parameter: both moments and, where there are such, the momentum copy and the average.
  private var companions: [(prefix: String, values: Parameters)] {
    [("first_moment.", firstMoment), ("second_moment.", secondMoment)] + keyReplicas.prefix(1).map { ("key.", $0) }
      + (average.map { [("average.", $0)] } ?? [])
  }

  private static func floats(_ x: Matrix) -> UnsafeBufferPointer<Float> { UnsafeBufferPointer(x.elements) }

  /// Takes over what an evaluation needs, and what training may start from: parameters and prototypes under their
  /// PyTorch names. A momentum copy and an average start from the parameters.
  ///
  /// - Parameter prefix: what stands before each name in the file.
  /// - Throws: naming the tensor that is missing or of another shape or type.
  package func loadModel(from file: SafetensorsFile, prefix: String = "") throws(DataError) {
    let c = model.configuration
    for parameter in model.layout.parameters {
      try copy(prefix + parameter.name, parameter.shape, of: file, to: parameters[parameter])
    }
    for (m, modality) in c.modalities.enumerated() {
      for (sign, kind) in ["pos", "neg"].enumerated() {
        try copy(
          prefix + "\(modality.name)_\(kind)_protos", [c.labels, c.latentSize], of: file,
          to: prototypes.values[m].rows(sign * c.labels..<(sign + 1) * c.labels))
      }
    }
    restartCopies()
    copyToReplicas()
  }

  /// Gives parameters and prototypes the values of a copy of the weights.
  func restoreModel(from copy: [TensorSource]) {
    let c = model.configuration
    var values = copy.makeIterator()
    func restore(_ target: Matrix) {
      guard let source = values.next(), source.bytes.count == target.count * MemoryLayout<Float>.stride else {
        preconditionFailure("a copy of other tensors")
      }
      UnsafeMutableRawBufferPointer(target.elements).copyMemory(from: source.bytes)
    }
    for parameter in model.layout.parameters { restore(parameters[parameter]) }
    for rows in prototypes.values {
      for sign in 0..<2 { restore(rows.rows(sign * c.labels..<(sign + 1) * c.labels)) }
    }
    copyToReplicas()
  }

  /// Takes over parameters, prototypes and queue; see `loadModel`.
  package func loadWeights(from file: SafetensorsFile, prefix: String = "") throws(DataError) {
    let c = model.configuration
    try loadModel(from: file, prefix: prefix)
    try copy(prefix + "queue", [c.queueSize, c.latentSize], of: file, to: queue.rows)
    let classes = try file.floats(prefix + "queue_label", shape: [c.queueSize, 1])
    for i in 0..<c.queueSize {
      guard let k = Int32(exactly: classes[i]), k >= -1, k < c.contrastiveClasses else {
        throw DataError(
          file: file.path, expected: "classes from -1 to \(c.contrastiveClasses - 1) in queue_label",
          found: "\(classes[i]) in row \(i)", remedy: "use a file that this program or the reference wrote")
      }
      queue.classes[i] = k
    }
    let pointer = try integer(prefix + "queue_ptr", of: file)
    guard pointer >= 0 && pointer < max(c.queueSize, 1) else {
      throw DataError(
        file: file.path, expected: "queue_ptr from 0 to \(max(c.queueSize, 1) - 1)", found: "\(pointer)",
        remedy: "use a file that this program or the reference wrote")
    }
    queue.restore(pointer: pointer)
  }

  /// Takes over the whole state from a file that `withTensors` filled.
  package func load(from file: SafetensorsFile) throws(DataError) {
    try loadWeights(from: file)
    for (prefix, values) in companions {
      for parameter in model.trained {
        try copy(prefix + parameter.name, parameter.shape, of: file, to: values[parameter])
      }
    }
    copyToReplicas()
    hasAllMoments = true
    let step = try integer("step", of: file)
    guard (0..<Int(Int32.max)).contains(step) else {
      throw DataError(
        file: file.path, expected: "a step from 0 to 2147483646", found: "\(step)",
        remedy: "use a file that this program wrote")
    }
    self.step = step
  }

  private func copy(_ name: String, _ shape: [Int], of file: SafetensorsFile, to target: Matrix) throws(DataError) {
    let source = try file.floats(name, shape: shape)
    if let base = source.baseAddress { target.elements.baseAddress?.update(from: base, count: source.count) }
    file.advise(.release, UnsafeRawBufferPointer(source))
  }

  /// A tensor of one whole number, as an integer or (in golden files) a float.
  private func integer(_ name: String, of file: SafetensorsFile) throws(DataError) -> Int {
    if file.dtype(of: name) == .float32 {
      let value = try file.floats(name, shape: [1])[0]
      guard let whole = Int(exactly: value) else {
        throw DataError(
          file: file.path, expected: "a whole number in \(name)", found: "\(value)",
          remedy: "use a file that this program or the reference wrote")
      }
      return whole
    }
    return Int(try file.int32s(name, shape: [1])[0])
  }

  /// SHA-256 of the whole state: each tensor's name, shape and bytes, in one fixed order.
  package func digest() -> String {
    withTensors { tensors in TensorDigest.digest(tensors.map { ($0.name, $0.shape, $0.bytes) }) }
  }
}
