import Tensor

/// Where each sample's time steps lie among a shard's rows: sequences are packed end to end, as a rule without padding.
///
/// Padded steps take part in nothing: where they have rows they are masked as keys and in label-wise attention, so no
/// gradient reaches them. Leaving them out gives what masking gives. Equal lengths are only the simplest case.
///
/// Owned by one worker, which refills it for each batch.
final class Sequences: @unchecked Sendable {
  let capacity: Int
  private let offsets: UnsafeMutablePointer<Int>
  private let lengths: UnsafeMutablePointer<Int>
  /// Samples.
  private(set) var count = 0

  /// - Parameter capacity: the greatest number of samples.
  init(capacity: Int) {
    self.capacity = capacity
    offsets = .allocate(capacity: capacity + 1)
    offsets.initialize(repeating: 0, count: capacity + 1)
    lengths = .allocate(capacity: capacity)
    lengths.initialize(repeating: 0, count: capacity)
  }

  deinit {
    offsets.deallocate()
    lengths.deallocate()
  }

  func removeAll() { count = 0 }

  /// - Parameters:
  ///   - length: steps that are not padding.
  ///   - rows: steps that have rows; what is behind the length is masked.
  func append(length: Int, rows: Int? = nil) {
    let rows = rows ?? length
    precondition(
      count < capacity && length > 0 && length <= rows,
      "sequence \(count) of \(capacity), length \(length) in \(rows) rows")
    offsets[count + 1] = offsets[count] + rows
    lengths[count] = length
    count += 1
  }

  /// All rows of the shard.
  var rowCount: Int { offsets[count] }

  /// The rows of one sample.
  func rows(_ sample: Int) -> Range<Int> { offsets[sample]..<offsets[sample + 1] }

  /// How many of a sample's rows are no padding.
  func length(_ sample: Int) -> Int { lengths[sample] }
}
