/// Floating-point operations in a step's matrix products, by how they are dealt to workers.
public struct MatrixOperations: Codable, Sendable, Equatable {
  /// Shard by shard: encoders, heads, fusion, the gradient of the contrastive loss.
  public let shards: Double
  /// In equal parts, whatever the shards: the contrastive loss's statistics over all pairs of rows.
  public let pairs: Double
  public var total: Double { shards + pairs }
}

extension ModelConfiguration {
  /// Floating-point operations in the matrix products that one training step needs, a full queue assumed: what
  /// `train bench` divides by the time.
  ///
  /// A product and its two gradients are three products. Attention's second computation of its scores is not counted,
  /// nor is any elementwise work; of the contrastive loss's similarities each pair of rows counts once for the
  /// statistics and each (live row, row) once more for the gradient, with the product that uses it.
  ///
  /// - Parameter encodedSteps: time steps that a modality's encoder has rows for, of a sample of the batch; nil for
  ///   sequences of full length.
  public func matrixOperationsPerStep(
    batchSize B: Int, encodedSteps: ((_ sample: Int, _ modality: Int) -> Int)? = nil
  ) -> MatrixOperations {
    let (D, F, P, C, M) = (
      Double(hiddenSize), Double(feedForwardSize), Double(latentSize), Double(labels), Double(modalities.count)
    )
    let batch = Double(B)
    var encoders = 0.0
    for (number, m) in modalities.enumerated() {
      let depth = Double(m.layers)
      for sample in 0..<B {
        let steps = Double(encodedSteps?(sample, number) ?? m.encodedSteps)
        let layer = 2 * (4 * D * D + 2 * D * F) + 4 * steps * D
        encoders += 3 * steps * (depth * layer + 2 * Double(m.features) * D + 4 * C * D)
      }
      if let aligned = m.alignedSteps {
        // Two LSTM layers' inputs and recurrences, and the weighted sum.
        let (H, features) = (Double(aligned + 1), Double(m.features))
        encoders += 3 * batch * Double(m.maximumSteps) * (8 * H * (features + 3 * H) + 2 * Double(aligned) * features)
      }
    }
    let half = (D / 2).rounded(.down)
    let project = 2 * (D * half + half * P)
    let rows = batch * C
    let heads = 3 * rows * M * (3 * project + 2 * project + 2 * 2 * M * D * D)
    let aggregate = 3 * 2 * batch * M * 2 * (C * D * D + D * C)
    let live = batch * Double(liveRowsPerSample)
    let all = live + Double(queueSize)
    let pairs = anchors == .all ? all * all / 2 : live * live / 2 + live * Double(queueSize)
    let gradient = 2 * P * 2 * live * all
    // A momentum copy's forward pass: one product of each three.
    let keys = queueKeys == .momentum ? (encoders + heads) / 3 : 0
    return MatrixOperations(shards: encoders + heads + aggregate + gradient + keys, pairs: 2 * P * pairs)
  }
}
