import Files

/// What a split's values must be. One pass over the data as fast as memory delivers them; details only of what fails.
struct DatasetValidation {
  /// Modalities whose features are logarithms of a power: −∞ is silence, and the authors' code reads it as 0.
  static let logarithmic: Set<String> = ["audio"]

  let path: String
  let split: String

  /// - Parameter labels: [N, C], row by row; C is `width`.
  func check(labels: UnsafeBufferPointer<Float>, width: Int) throws(DataError) {
    for (i, value) in labels.enumerated() where value != 0 && value != 1 {
      throw DataError(
        file: path, expected: "labels of 0 or 1",
        found: "\(value) in split \(split), sample \(i / width), label \(i % width)",
        remedy: "make the labels multi-hot, for instance by a threshold")
    }
  }

  func check(lengths: [Int], of modality: String, steps: Int) throws(DataError) {
    for (sample, length) in lengths.enumerated() where length < 1 || length > steps {
      throw DataError(
        file: path, expected: "\(modality)_length of 1 to \(steps)",
        found: "\(length) in split \(split), sample \(sample)",
        remedy: "remove the sample, or cut its sequence and its length")
    }
  }

  /// Whether there are −∞, which only a logarithmic modality may have.
  func check(features: FloatRows, of modality: String, samples: Int, width: Int) throws(DataError) -> Bool {
    let acceptsNegativeInfinity = Self.logarithmic.contains(modality)
    var infinite = false
    for sample in 0..<samples {
      // What was looked at leaves this process's memory: files may be larger than it.
      if sample % 64 == 0 { features.advise(.release, max(0, sample - 64)..<sample) }
      let row = features[sample]
      if Self.allFinite(row) { continue }
      for i in 0..<row.count / 4 {
        let value = row.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
        if value.isFinite { continue }
        guard acceptsNegativeInfinity, value == -.infinity else {
          throw DataError(
            file: path, expected: "finite features\(acceptsNegativeInfinity ? " or −inf" : "")",
            found: "\(value) in split \(split), sample \(sample), \(modality), step \(i / width), feature \(i % width)",
            remedy: "remove the sample or mend the feature extraction")
        }
        infinite = true
      }
    }
    features.advise(.release, 0..<samples)
    return infinite
  }

  /// 0 · x is 0 for a finite x and NaN for any other, and a NaN stays in a sum: one multiply-add a vector, no branch.
  static func allFinite(_ values: UnsafeRawBufferPointer) -> Bool {
    typealias Floats = SIMD16<Float>
    let pairs = values.count / 128
    var first = Floats.zero
    var second = Floats.zero
    for pair in 0..<pairs {
      first += values.loadUnaligned(fromByteOffset: pair * 128, as: Floats.self) * Floats.zero
      second += values.loadUnaligned(fromByteOffset: pair * 128 + 64, as: Floats.self) * Floats.zero
    }
    var sum = (first + second).sum()
    for offset in stride(from: pairs * 128, to: values.count, by: 4) {
      sum += values.loadUnaligned(fromByteOffset: offset, as: Float.self) * 0
    }
    return sum == 0
  }
}
