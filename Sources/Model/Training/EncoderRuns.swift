import Parallel

/// Which runs of samples each worker of a group takes through which encoder: dealt by cost, for each batch anew.
///
/// Runs are as long as balance allows: joined rows of several samples make faster products.
final class EncoderRuns: @unchecked Sendable {
  // Proof of Sendable: one thread deals between steps; workers only read.

  private let modalities: Int
  private let samples: Int
  private let workers: Int
  private let deal: Deal
  /// Of each sample's pass through each modality's encoder.
  private let costs: UnsafeMutablePointer<Int>
  /// By worker, then modality.
  private let runs: UnsafeMutablePointer<Range<Int>>
  /// Where each worker's of each modality begin, and where the last one's end.
  private let starts: UnsafeMutablePointer<Int>

  /// Samples of a run, at most: rows of more gain nothing, and leave the cache.
  private let longest: Int

  static func longest(_ c: ModelConfiguration) -> Int { max(1, min(4, 512 / c.longestSequence)) }

  /// - Parameter longest: samples of a run, at most.
  init(modalities: Int, samples: Int, longest: Int, workers: Int) {
    self.longest = longest
    (self.modalities, self.samples, self.workers) = (modalities, samples, workers)
    costs = .allocate(capacity: max(modalities * samples, 1))
    costs.initialize(repeating: 0, count: max(modalities * samples, 1))
    deal = Deal(workers: workers, capacity: modalities * samples)
    runs = .allocate(capacity: max(modalities * samples, 1))
    runs.initialize(repeating: 0..<0, count: max(modalities * samples, 1))
    starts = .allocate(capacity: workers * modalities + 1)
    starts.initialize(repeating: 0, count: workers * modalities + 1)
  }

  deinit {
    costs.deallocate()
    runs.deallocate()
    starts.deallocate()
  }

  func ofWorker(_ worker: Int, modality: Int) -> UnsafeBufferPointer<Range<Int>> {
    let i = worker * modalities + modality
    return UnsafeBufferPointer(start: runs + starts[i], count: starts[i + 1] - starts[i])
  }

  func set(_ modality: Int, _ sample: Int, cost: Int) { costs[modality * samples + sample] = cost }

  /// Deals `count` samples of each modality, by the costs that were set, in the longest runs whose slowest worker has at most a hundredth more than with
  /// single samples.
  func deal(_ count: Int) {
    let least = deal(count, length: 1)
    var length = longest
    while length > 1, deal(count, length: length) > least + least / 100 { length /= 2 }
    if length == 1 && longest > 1 { deal(count, length: 1) }
    let perModality = (count + length - 1) / length
    var filled = 0
    for worker in 0..<workers {
      var modality = 0
      starts[worker * modalities] = filled
      for task in deal.tasks(ofWorker: worker) {
        while modality < task / perModality {
          modality += 1
          starts[worker * modalities + modality] = filled
        }
        let first = task % perModality * length
        runs[filled] = first..<min(first + length, count)
        filled += 1
      }
      while modality < modalities - 1 {
        modality += 1
        starts[worker * modalities + modality] = filled
      }
    }
    starts[workers * modalities] = filled
  }

  @discardableResult
  private func deal(_ count: Int, length: Int) -> Int {
    deal.removeAll()
    for m in 0..<modalities {
      for first in stride(from: 0, to: count, by: length) {
        var cost = 0
        for s in first..<min(first + length, count) { cost += costs[m * samples + s] }
        deal.add(cost: cost)
      }
    }
    return deal.deal()
  }
}
