import Tensor

/// What the model made of a sample of the batch that was evaluated last, valid until the next step.
struct InspectedSample {
  private let part: BatchPart
  /// Its place in the part.
  private let place: Int
  private let exchange: Exchange
  private let configuration: ModelConfiguration

  /// Vectors [C, D] of a level and modality.
  func vectors(_ level: Reconstruction.Level, modality m: Int) -> Matrix {
    part.heads.reconstruction[m].rows(place * configuration.labels..<(place + 1) * configuration.labels).level(level)
  }

  /// Latents of unit length [C, P] of a level and modality, if the evaluation was to be inspected.
  func latents(_ level: Reconstruction.Level, modality m: Int) -> Matrix {
    let (M, C) = (configuration.modalities.count, configuration.labels)
    let first = (((part.samples.lowerBound + place) * 3 + level.rawValue) * M + m) * C
    return exchange.live.rows(first..<first + C)
  }

  /// Weights [C, T] of the label-wise attention over the steps that the encoder has seen.
  func attention(modality m: Int) -> Matrix {
    // Of several micro-batches only the last one's would be there.
    let encoder = part.microBatches[0].encoders[m]
    let rows = encoder.sequences.rows(place)
    return encoder.probabilities.columns(rows.lowerBound..<rows.lowerBound + encoder.sequences.length(place))
  }

  /// The modality whose beta scores a label highest, which alone decides the label-wise score; of several the first.
  func winner(label: Int) -> Int {
    let scores = part.heads.pooled(
      .beta, place * configuration.labels + label..<place * configuration.labels + label + 1)
    return (0..<configuration.modalities.count).reduce(0) { scores.each[0, $1] > scores.each[0, $0] ? $1 : $0 }
  }

  fileprivate init?(_ step: TrainingStep, sample: Int) {
    guard let part = step.parts.first(where: { $0.samples.contains(sample) }) else { return nil }
    (self.part, place) = (part, sample - part.samples.lowerBound)
    (exchange, configuration) = (step.exchange, step.model.configuration)
  }
}

extension TrainingStep {
  /// The n-th sample of the batch that was evaluated last; of this rank's.
  func inspected(_ sample: Int) -> InspectedSample {
    guard let own = InspectedSample(self, sample: sample) else {
      preconditionFailure("sample \(sample) of a batch of \(batchSize) is another rank's")
    }
    return own
  }
}
