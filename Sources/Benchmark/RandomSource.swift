import Model
import Parallel
import Tensor

/// A buffer that an array can hold.
final class OwnedBuffer: Sendable {
  let buffer: Buffer
  init(_ buffer: consuming Buffer) { self.buffer = buffer }
}

/// Samples of standard normal features; each label with probability 1/4.
final class RandomSource: SampleSource {
  let count: Int
  private let modalities: [ModelConfiguration.Modality]
  private let labelCount: Int
  private let features: [OwnedBuffer]
  private let labels: OwnedBuffer
  /// Of the full length, a sample's in all modalities.
  private let lengths: [Double]

  /// - Parameter meanLength: of all samples, as a share of the full length; each sample's is drawn evenly from the
  ///   widest range around it.
  init(_ c: ModelConfiguration, count: Int, seed: UInt64, meanLength: Double = 1) {
    self.count = count
    modalities = c.modalities
    labelCount = c.labels
    let key = RandomKey(seed: seed)
    features = c.modalities.enumerated().map { m, modality in
      let buffer = Buffer(count: count * modality.maximumSteps * modality.features)
      key.fillNormal(buffer.base, count: buffer.count, stream: UInt32(m), deviation: 1)
      return OwnedBuffer(buffer)
    }
    let labels = Buffer(count: count * c.labels)
    for i in 0..<labels.count { labels.base[i] = key.words(UInt32.max, UInt32(i)).0 < 1 << 30 ? 1 : 0 }
    self.labels = OwnedBuffer(labels)
    let spread = min(meanLength, 1 - meanLength)
    lengths = (0..<count).map { i in
      let draw = Double(key.words(UInt32.max - 1, UInt32(i)).0) / 0x1p32
      return meanLength + (2 * draw - 1) * spread
    }
  }

  func steps(modality: Int) -> Int { modalities[modality].maximumSteps }

  func length(sample: Int, modality: Int) -> Int {
    let all = modalities[modality].maximumSteps
    return max(1, min(all, Int((lengths[sample] * Double(all)).rounded())))
  }

  func labels(ofSample sample: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: labels.buffer.base + sample * labelCount, count: labelCount)
  }

  func copyFeatures(sample: Int, modality: Int, steps: Int, into target: UnsafeMutablePointer<Float>) {
    let m = modalities[modality]
    let size = m.maximumSteps * m.features
    target.update(from: features[modality].buffer.base + sample * size, count: steps * m.features)
  }
}
