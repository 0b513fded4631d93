/// The least memory that a configuration takes, known before any is asked for: the system promises more than it has
/// and ends the process that believes it.
///
/// A lower bound: what every implementation of the method has to hold, each in its plainest form. In floating
/// point, because sizes from a file may multiply to anything.
struct MemoryNeed {
  /// Floats of parameters, poolers included.
  let parameters: Double
  /// Queue rows with their classes.
  let queue: Double
  /// What one sample's forward pass leaves for backward.
  let activations: Double

  init(_ c: ModelConfiguration) {
    let (D, F, P, C) = (Double(c.hiddenSize), Double(c.feedForwardSize), Double(c.latentSize), Double(c.labels))
    let M = Double(c.modalities.count)
    var (parameters, activations) = (0.0, 0.0)
    for m in c.modalities {
      let (layers, features) = (Double(m.layers), Double(m.features))
      let (raw, T) = (Double(m.maximumSteps), Double(m.encodedSteps))
      parameters += features * D + raw * D + layers * (4 * D * D + 2 * D * F) + C * D + D * D
      activations += T * (features + layers * ((c.takesLayersInTurn ? 3 : 6) * D + F))
      if let length = m.alignedSteps.map(Double.init) {
        parameters += 4 * (length + 1) * (features + 3 * (length + 1))
        activations += raw * (features + 12 * (length + 1))
      }
    }
    parameters += C * D * D
    activations += 3 * M * C * (2 * D + P)
    self.parameters = parameters
    self.queue = Double(c.queueSize) * (P + 1)
    self.activations = activations
  }

  /// Bytes of what training steps hold.
  ///
  /// - Parameter samples: of a batch, or of its largest micro-batch.
  func parts(samples: Int) -> [(name: String, bytes: Double)] {
    [
      // Values, two moments, and a gradient.
      ("parameters", 16 * parameters), ("the queue", 4 * queue),
      (Self.activations, 4 * activations * Double(samples)),
    ]
  }

  /// - Parameter samples: of a batch, or of its largest micro-batch.
  /// - Throws: if training steps of so many samples at once can't fit.
  static func check(_ c: ModelConfiguration, samples: Int) throws(MemoryShortage) {
    let parts = MemoryNeed(c).parts(samples: samples)
    // Micro-batches save activations alone.
    let isOfActivations = parts.max { $0.bytes < $1.bytes }?.name == activations
    try MemoryShortage.check(
      "this configuration", parts: parts,
      remedy: "choose " + (isOfActivations ? "a larger --accumulate, " : "") + remedy)
  }

  private static let activations = "the activations of a batch"

  private static let remedy =
    "a smaller --hidden-size, --layers, --queue-size, --batch-size or fewer --workers, or a machine with more memory"

  /// Lets `plan` map all memory that training takes, and adds it up before most of it is touched: what the system
  /// promised may still be more than it has.
  ///
  /// - Throws: if it is, or what `plan` throws.
  static func checking<T>(_ plan: () throws -> T) throws -> T {
    let (available, before) = (SystemMemory.available(), SystemMemory.mapped())
    let planned = try plan()
    if let available, let before, let after = SystemMemory.mapped(), after - before > available {
      throw MemoryShortage(
        what: "this configuration", largest: "parameters, gradients and activations",
        remedy: "choose a larger --accumulate, " + remedy,
        needed: after - before, available: available)
    }
    return planned
  }
}
