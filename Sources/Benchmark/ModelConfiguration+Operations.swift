import Model

/// What a matrix product is for: kinds differ in shapes and in what is packed for them.
package enum ProductKind: String, Codable, CaseIterable, Sendable {
  case forward
  case inputGradients = "input gradients"
  case weightGradients = "weight gradients"
  /// Within a sample: scores, weighted sums, and their gradients.
  case attention
  /// Tiles of similarities, and what they weigh.
  case contrastive
  /// An LSTM's, step after step.
  case recurrence
}

/// Floating-point operations in a step's matrix products.
package struct MatrixOperations: Codable, Sendable, Equatable {
  package let kinds: [String: Double]
  /// Those of the contrastive loss's statistics over all pairs of rows.
  package let pairs: Double
  package var total: Double { ProductKind.allCases.reduce(0) { $0 + self[$1] } }
  package subscript(kind: ProductKind) -> Double { kinds[kind.rawValue] ?? 0 }
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
  package func matrixOperationsPerStep(
    batchSize B: Int, encodedSteps: ((_ sample: Int, _ modality: Int) -> Int)? = nil
  ) -> MatrixOperations {
    let (D, F, P, C, M) = (
      Double(hiddenSize), Double(feedForwardSize), Double(latentSize), Double(labels), Double(modalities.count)
    )
    let batch = Double(B)
    // By weights; within samples; and of LSTMs, of their forward pass each.
    var (weights, attention, recurrence) = (0.0, 0.0, 0.0)
    for (number, m) in modalities.enumerated() {
      let depth = Double(m.layers)
      for sample in 0..<B {
        let steps = Double(encodedSteps?(sample, number) ?? m.encodedSteps)
        weights += steps * (depth * 2 * (4 * D * D + 2 * D * F) + 2 * Double(m.features) * D)
        attention += steps * (depth * 4 * steps * D + 4 * C * D)
      }
      if let aligned = m.alignedSteps {
        // Two LSTM layers' inputs and recurrences, and the weighted sum.
        let (H, features, T) = (Double(aligned + 1), Double(m.features), batch * Double(m.maximumSteps))
        weights += T * 8 * H * (features + H)
        recurrence += T * 16 * H * H
        attention += T * 2 * Double(aligned) * features
      }
    }
    let half = (D / 2).rounded(.down)
    let project = 2 * (D * half + half * P)
    let rows = batch * C
    let heads = rows * M * (3 * project + 2 * project + 2 * 2 * M * D * D)
    let aggregate = 2 * batch * M * 2 * (C * D * D + D * C)
    let live = batch * Double(liveRowsPerSample)
    let all = live + Double(queueSize)
    let pairs = anchors == .all ? all * all / 2 : live * live / 2 + live * Double(queueSize)
    // A momentum copy's forward pass.
    let keys = queueKeys == .momentum ? 1.0 : 0
    let linear = weights + heads + aggregate
    let kinds: [ProductKind: Double] = [
      .forward: linear + keys * (weights + heads), .inputGradients: linear,
      // A recurrent weight's gradient is one product over all steps.
      .weightGradients: linear + recurrence, .attention: (3 + keys) * attention,
      .contrastive: 2 * P * (pairs + 2 * live * all), .recurrence: (2 + keys) * recurrence,
    ]
    return MatrixOperations(
      kinds: Dictionary(uniqueKeysWithValues: kinds.map { ($0.key.rawValue, $0.value) }), pairs: 2 * P * pairs)
  }
}
