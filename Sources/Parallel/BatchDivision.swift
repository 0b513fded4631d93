import Tensor

/// Which samples of a batch each group of workers has: whole blocks, in order, as many as its share of all workers.
///
/// A *group* is the workers that have memory in common: those of a NUMA node. Sums over samples follow one tree over
/// blocks, which belong to the batch: the result of a step depends on no group and no number of workers.
package struct BatchDivision: Sendable, Equatable {
  /// Consecutive samples over which a product's sum is one chain of additions; the last block of a batch may be smaller.
  package static let blockSize = 4

  /// Samples of a batch, B.
  package let batchSize: Int
  /// Each group's samples, by their places in the batch; empty where there are more groups than blocks.
  package let samples: [Range<Int>]

  /// - Parameter groups: how many workers each group has, over all ranks.
  package init(batchSize: Int, groups: [Int]) {
    precondition(
      batchSize > 0 && groups.allSatisfy { $0 > 0 }, "a batch of \(batchSize) samples for groups of \(groups)")
    let blocks = (batchSize + Self.blockSize - 1) / Self.blockSize
    let workers = groups.reduce(0, +)
    var (ends, before) = ([0], 0)
    for count in groups {
      before += count
      // Half a block is rounded up.
      ends.append(min((2 * before * blocks + workers) / (2 * workers) * Self.blockSize, batchSize))
    }
    self.batchSize = batchSize
    samples = zip(ends, ends.dropFirst()).map { $0..<$1 }
  }
}
