import Parallel
import Tensor

/// The shuffle of betas across samples (per label and modality) and across modalities (per label and sample):
/// entry (b, m, c) takes the beta, and the label, of sample `samples[b, m, c]`, modality `modalities[b, m, c]`, label c.
///
/// The released code indexes with both permutations at once, so a beta may be taken twice or not at all; gradients
/// come home by the list of takers of each beta, in increasing order.
package final class Shuffle: @unchecked Sendable {
  // Proof of Sendable: one thread draws between steps; workers only read.

  let shape: (batch: Int, modalities: Int, labels: Int)
  /// [B, M, C]
  package let samples: UnsafeMutablePointer<Int32>
  package let modalities: UnsafeMutablePointer<Int32>
  /// Takers of (sample, modality, c) are takers[starts[i]..<starts[i + 1]], i = (sample M + modality) C + c.
  private let starts: UnsafeMutablePointer<Int32>
  private let takers: UnsafeMutablePointer<Int32>
  private let count: Int
  private let drawn: UnsafeMutablePointer<Int32>

  package init(batch: Int, modalities M: Int, labels: Int) {
    shape = (batch, M, labels)
    count = batch * M * labels
    samples = .allocate(capacity: count)
    modalities = .allocate(capacity: count)
    takers = .allocate(capacity: count)
    starts = .allocate(capacity: count + 1)
    drawn = .allocate(capacity: max(batch, M))
    samples.initialize(repeating: 0, count: count)
    modalities.initialize(repeating: 0, count: count)
    takers.initialize(repeating: 0, count: count)
    starts.initialize(repeating: 0, count: count + 1)
    drawn.initialize(repeating: 0, count: max(batch, M))
  }

  deinit {
    for p in [samples, modalities, takers, starts, drawn] { p.deallocate() }
  }

  /// Uniformly random permutations for a training step.
  package func draw(seed: UInt64, step: Int) {
    let (B, M, C) = shape
    let bySample = RandomKey(seed: seed).derived(RandomPurpose.sampleShuffle.rawValue, UInt32(truncatingIfNeeded: step))
    let byModality = RandomKey(seed: seed)
      .derived(RandomPurpose.modalityShuffle.rawValue, UInt32(truncatingIfNeeded: step))
    for c in 0..<C {
      for m in 0..<M {
        bySample.fillPermutation(drawn, count: B, stream: UInt32(c * M + m))
        for b in 0..<B { samples[(b * M + m) * C + c] = drawn[b] }
      }
      for b in 0..<B {
        byModality.fillPermutation(drawn, count: M, stream: UInt32(c * B + b))
        for m in 0..<M { modalities[(b * M + m) * C + c] = drawn[m] }
      }
    }
    indexTakers()
  }

  /// Rebuilds the lists of takers after `samples` and `modalities` were filled.
  func indexTakers() {
    starts.update(repeating: 0, count: count + 1)
    for i in 0..<count { starts[source(of: i) + 1] += 1 }
    for i in 0..<count { starts[i + 1] += starts[i] }
    // Counting sort; each list's end moves from its start, then all starts are moved back by one list.
    for i in 0..<count {
      let s = source(of: i)
      takers[Int(starts[s])] = Int32(i)
      starts[s] += 1
    }
    for i in stride(from: count, to: 0, by: -1) { starts[i] = starts[i - 1] }
    starts[0] = 0
  }

  /// The flat index (b M + m) C + c of the beta that entry i takes.
  func source(of i: Int) -> Int {
    let (_, M, C) = shape
    return (Int(samples[i]) * M + Int(modalities[i])) * C + i % C
  }

  /// shuffled [rows, C D] ← the betas that the entries of (sample, modality) rows from `firstRow` take, out of all
  /// betas [B M, C D].
  func gather(_ betas: Matrix, firstRow: Int, into shuffled: Matrix) {
    let C = shape.labels
    let D = betas.columns / C
    for r in 0..<shuffled.rows {
      for c in 0..<C {
        let from = source(of: (firstRow + r) * C + c)
        (shuffled.row(r) + c * D).update(from: betas.row(from / C) + c * D, count: D)
      }
    }
  }

  /// The label of row (sample, modality)'s entry c.
  func label(row: Int, _ c: Int, _ labels: Matrix) -> Float {
    labels[Int(samples[row * shape.labels + c]), c]
  }

  /// d [D] ← d + the gradients of all entries that took the beta of (sample, modality, c).
  func addGradient(
    _ dshuffled: Matrix, sample: Int, modality: Int, label c: Int, to d: UnsafeMutablePointer<Float>
  ) {
    let (_, M, C) = shape
    let D = dshuffled.columns / C
    let i = (sample * M + modality) * C + c
    for k in Int(starts[i])..<Int(starts[i + 1]) {
      let taker = Int(takers[k])
      add(dshuffled.row(taker / C) + c * D, to: d, count: D)
    }
  }
}
