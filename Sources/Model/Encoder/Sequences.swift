import Parallel
import Tensor

/// Where the time steps of some consecutive samples lie among rows: sequences are packed end to end, as a rule without
/// padding.
///
/// Padded steps take part in nothing: where they have rows they are masked as keys and in label-wise attention, so no
/// gradient reaches them. Leaving them out gives what masking gives. Equal lengths are only the simplest case.
///
/// A view of a `SequenceTable`; samples and rows are counted from the first of the view's.
struct Sequences: @unchecked Sendable {
  // Proof of Sendable: addresses, as `Matrix`, of what changes between steps only.

  fileprivate let offsets: UnsafePointer<Int>
  fileprivate let lengths: UnsafePointer<Int>
  /// Samples.
  let count: Int
  /// The first sample's place in the batch.
  let firstPlace: Int

  /// All rows.
  var rowCount: Int { offsets[count] - offsets[0] }

  /// The rows of one sample.
  func rows(_ sample: Int) -> Range<Int> { offsets[sample] - offsets[0]..<offsets[sample + 1] - offsets[0] }

  /// How many of a sample's rows are no padding.
  func length(_ sample: Int) -> Int { lengths[sample] }

  /// A sample's place in the batch, which keys its draws.
  func place(_ sample: Int) -> Int { firstPlace + sample }

  /// Some of the samples.
  subscript(samples: Range<Int>) -> Sequences {
    precondition(samples.lowerBound >= 0 && samples.upperBound <= count, "samples \(samples) of \(count)")
    return Sequences(
      offsets: offsets + samples.lowerBound, lengths: lengths + samples.lowerBound, count: samples.count,
      firstPlace: firstPlace + samples.lowerBound)
  }

  /// The rows of some samples.
  func rows(_ samples: Range<Int>) -> Range<Int> {
    offsets[samples.lowerBound] - offsets[0]..<offsets[samples.upperBound] - offsets[0]
  }
}

/// The lengths of a batch's sequences of one modality, refilled for each batch.
final class SequenceTable: @unchecked Sendable {
  // Proof of Sendable: filled by one thread between steps; workers only read.

  let capacity: Int
  private let firstPlace: Int
  private let offsets: UnsafeMutablePointer<Int>
  private let lengths: UnsafeMutablePointer<Int>
  private var count = 0

  /// - Parameters:
  ///   - capacity: the greatest number of samples.
  ///   - firstPlace: the first sample's place in the batch.
  ///   - arena: which has to live as long as any view.
  init(capacity: Int, firstPlace: Int = 0, in arena: Arena) throws(MemoryError) {
    self.capacity = capacity
    self.firstPlace = firstPlace
    offsets = try arena.allocate(of: Int.self, count: capacity + 1)
    lengths = try arena.allocate(of: Int.self, count: capacity)
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

  var sequences: Sequences { Sequences(offsets: offsets, lengths: lengths, count: count, firstPlace: firstPlace) }
}
