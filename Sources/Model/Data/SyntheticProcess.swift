import Tensor

/// How synthetic samples come about: a process simple enough that the posterior of every label is known exactly.
///
/// 1. A mood k is drawn with probability ∝ 1/(k + 1); given the mood, labels are independent: the mood's own label is
///    likely, its partner's even, all others rare. So labels co-occur, and some are frequent and others rare.
/// 2. For each modality m and label c an evidence e ~ Normal(± visibility[m][c] / 2, 1) is drawn, + if the label is
///    present. A label is plain in one modality, fainter in the next.
/// 3. A sequence is noise orthogonal to C known orthonormal directions, plus, for each label, evidence × gain ×
///    direction during a burst of steps at a random time. The noise, the times and the lengths say nothing of
///    the labels, and evidence can be read off a sequence exactly, so p(labels | features) = p(labels | evidence).
package struct SyntheticProcess {
  package typealias Settings = SyntheticDataset.Settings

  struct Sample {
    /// C values of 0 or 1.
    var labels: [Float]
    /// [M][C].
    var evidence: [[Double]]
    /// Of all modalities, as a fraction of their steps.
    var length: Double
  }

  package let settings: Settings
  /// Probability of each of C moods.
  package let moods: [Double]
  /// [mood][label]: probability of the label in the mood.
  package let presence: [[Double]]
  /// [M][C]: how many standard deviations the evidence of a present label lies above that of an absent one.
  package let visibility: [[Double]]
  /// For each modality C orthonormal rows of F floats.
  package let directions: [[[Float]]]

  package init(_ settings: Settings) {
    let c = settings.labels
    let m = settings.modalities.count
    self.settings = settings
    let weights = (0..<c).map { 1 / Double($0 + 1) }
    moods = weights.map { $0 / weights.reduce(0, +) }
    presence = (0..<c).map { mood in
      (0..<c).map { $0 == mood ? 0.9 : $0 == (mood + c / 2) % c ? 0.5 : 0.05 }
    }
    visibility = (0..<m).map { modality in
      (0..<c).map { label in (0..<(label + modality) % m).reduce(settings.visibility) { sum, _ in sum * 0.6 } }
    }
    directions = settings.features.enumerated().map { modality, features in
      var random = SplitMix64(seed: settings.seed, 0, UInt64(modality))
      return Self.orthonormal(rows: c, columns: features, using: &random)
    }
  }

  /// Draws what a sample is about: all that its features say of its labels.
  func sample(using random: inout SplitMix64) -> Sample {
    var mood = 0
    var rest = random.uniform()
    while mood + 1 < moods.count && rest >= moods[mood] {
      rest -= moods[mood]
      mood += 1
    }
    let labels: [Float] = presence[mood].map { random.uniform() < $0 ? 1 : 0 }
    let evidence = visibility.map { row in
      zip(row, labels).map { visibility, label in (Double(label) - 0.5) * visibility + random.normal() }
    }
    return Sample(labels: labels, evidence: evidence, length: 0.4 + 0.6 * random.uniform())
  }

  /// p(label = 1 | evidence) of each label: the moods' posterior-weighted mean of what each says of the label.
  func posterior(evidence: [[Double]]) -> [Double] {
    let c = settings.labels
    // log p(e | present) − log p(e | absent), summed over modalities, is linear in e since the variances agree.
    let logRatio = (0..<c).map { label in zip(visibility, evidence).reduce(0.0) { $0 + $1.0[label] * $1.1[label] } }
    // log p(mood, e) up to a constant, and p(present | mood, e); each pair of terms is scaled by the larger.
    var logJoint = moods.map { logarithm($0) }
    var conditional = presence
    for mood in moods.indices {
      for label in 0..<c {
        let scale = max(logRatio[label], 0)
        let present = presence[mood][label] * exponential(logRatio[label] - scale)
        let absent = (1 - presence[mood][label]) * exponential(-scale)
        logJoint[mood] += scale + logarithm(present + absent)
        conditional[mood][label] = present / (present + absent)
      }
    }
    let largest = logJoint.max() ?? 0
    let joint = logJoint.map { exponential($0 - largest) }
    let total = joint.reduce(0, +)
    return (0..<c).map { label in zip(joint, conditional).reduce(0) { $0 + $1.0 * $1.1[label] } / total }
  }

  /// Steps of one modality that are not padding.
  func length(of sample: Sample, modality: Int) -> Int {
    let steps = settings.steps[modality]
    return min(steps, max(burst(modality), Int((sample.length * Double(steps)).rounded())))
  }

  /// Steps during which the evidence of a label shows.
  package func burst(_ modality: Int) -> Int { max(1, settings.steps[modality] / 6) }

  /// Writes one sequence, [T, F]; what is beyond its length stays as it is.
  func fill(
    _ sequence: UnsafeMutableBufferPointer<Float>, sample: Sample, modality: Int, using random: inout SplitMix64
  ) {
    let features = settings.features[modality]
    let length = length(of: sample, modality: modality)
    for step in 0..<length {
      let row = UnsafeMutableBufferPointer(rebasing: sequence[step * features..<(step + 1) * features])
      for i in row.indices { row[i] = random.bellShaped() }
      for direction in directions[modality] {
        direction.withUnsafeBufferPointer { direction in
          var projection: Float = 0
          for i in row.indices { projection += row[i] * direction[i] }
          for i in row.indices { row[i] -= projection * direction[i] }
        }
      }
    }
    let burst = burst(modality)
    for (label, direction) in directions[modality].enumerated() {
      let height = Float(sample.evidence[modality][label] * settings.gain * Double(features).squareRoot())
      let start = Int(random.next() % UInt64(length - burst + 1))
      for step in start..<start + burst {
        for i in 0..<features { sequence[step * features + i] += height * direction[i] }
      }
    }
  }

  private static func orthonormal(rows: Int, columns: Int, using random: inout SplitMix64) -> [[Float]] {
    var basis: [[Double]] = []
    while basis.count < rows {
      var row = (0..<columns).map { _ in random.normal() }
      for _ in 0..<2 {
        for other in basis {
          let projection = zip(row, other).reduce(0) { $0 + $1.0 * $1.1 }
          for i in row.indices { row[i] -= projection * other[i] }
        }
      }
      let norm = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if norm > 1e-6 { basis.append(row.map { $0 / norm }) }
    }
    return basis.map { $0.map(Float.init) }
  }
}

extension SplitMix64 {
  /// Uniform in [0, 1).
  fileprivate mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Standard normal (Box and Muller, 1958).
  fileprivate mutating func normal() -> Double {
    let radius = (-2 * logarithm(1 - uniform())).squareRoot()
    return radius * sineAndCosine(turns: uniform()).cosine
  }

  /// Mean 0, variance 1, nearly normal: the sum of four uniform 16-bit numbers, for noise
  /// whose exact form is no matter.
  @inline(__always)
  fileprivate mutating func bellShaped() -> Float {
    let bits = next()
    let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
    return (Float(sum) - 131_070) * 2.642_829e-5
  }
}
