import Tensor

/// Where each sample's time steps lie among a shard's rows: sequences are packed end to end, without padding.
///
/// Padded steps would take part in nothing: they are masked as keys and in label-wise attention, so no gradient
/// reaches them. Leaving them out gives what masking gives. Equal lengths are only the simplest case.
///
/// Owned by one worker, which refills it for each batch.
final class Sequences: @unchecked Sendable {
  let capacity: Int
  private let offsets: UnsafeMutablePointer<Int>
  /// Samples.
  private(set) var count = 0

  /// - Parameter capacity: the greatest number of samples.
  init(capacity: Int) {
    self.capacity = capacity
    offsets = .allocate(capacity: capacity + 1)
    offsets.initialize(repeating: 0, count: capacity + 1)
  }

  deinit { offsets.deallocate() }

  func removeAll() { count = 0 }

  func append(length: Int) {
    precondition(count < capacity && length > 0, "sequence \(count) of \(capacity), length \(length)")
    offsets[count + 1] = offsets[count] + length
    count += 1
  }

  /// All rows of the shard.
  var rowCount: Int { offsets[count] }

  /// The rows of one sample.
  func rows(_ sample: Int) -> Range<Int> { offsets[sample]..<offsets[sample + 1] }
}
