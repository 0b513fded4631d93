import Files
import Foundation
import Tensor

/// The names that a data set's file gives its samples: the tensor `ids` [N, L] of UTF-8, zero bytes behind each id's
/// end. Viewed in the mapped file.
package struct SampleIDs: Sendable {
  private let tensor: FileBytes
  private var bytes: UnsafeRawBufferPointer { tensor.bytes }
  private let count: Int
  /// L.
  private let width: Int

  /// - Returns: nil if the file has none.
  /// - Throws: if they are not of this type and shape, one is empty, not UTF-8 or has a zero byte within, or two are
  ///   the same.
  init?(_ file: SafetensorsFile, samples: Int) throws(DataError) {
    guard file.shape(of: "ids") != nil else { return nil }
    tensor = FileBytes(file, try file.uint8s("ids", shape: [samples, nil]))
    count = samples
    width = tensor.bytes.count / max(samples, 1)
    for sample in 0..<count { try check(sample) }
    let order = order
    for (a, b) in zip(order, order.dropFirst()) where self.id(a).elementsEqual(self.id(b)) {
      throw DataError(
        file: file.path, expected: "a different id for every sample",
        found: "'\(self[a])' of samples \(min(a, b)) and \(max(a, b))",
        remedy: "give each sample its own id, or remove what is in the file twice")
    }
    file.advise(.release, bytes)
  }

  package subscript(sample: Int) -> String {
    precondition(sample >= 0 && sample < count, "sample \(sample) of \(count)")
    return String(decoding: id(sample), as: UTF8.self)
  }

  private func row(_ sample: Int) -> Slice<UnsafeRawBufferPointer> { bytes[sample * width..<(sample + 1) * width] }

  private func id(_ sample: Int) -> Slice<UnsafeRawBufferPointer> { row(sample).prefix { $0 != 0 } }

  private func check(_ sample: Int) throws(DataError) {
    let id = id(sample)
    let found: String? =
      if id.isEmpty {
        "none"
      } else if row(sample).dropFirst(id.count).contains(where: { $0 != 0 }) {
        "'\(self[sample])' and more behind a zero byte"
      } else if String(validating: id, as: UTF8.self) == nil {
        "bytes that are not UTF-8, '\(self[sample])'"
      } else {
        nil
      }
    guard let found else { return }
    throw DataError(
      file: tensor.file.path, expected: "an id in UTF-8 for every sample, with zero bytes behind its end in ids",
      found: "\(found) of sample \(sample)", remedy: "write the ids again, or leave the tensor out")
  }

  /// The samples in the order of their ids' bytes: N numbers, and no copy of the ids.
  private var order: [Int] {
    guard let base = bytes.baseAddress else { return [] }
    return (0..<count).sorted { memcmp(base + $0 * width, base + $1 * width, width) < 0 }
  }

  /// Ids that another file has too: how many, and the first in the order of their bytes; nil if there are none.
  package func common(with other: SampleIDs) -> (count: Int, first: String)? {
    var mine = order[...]
    var theirs = other.order[...]
    var found: (count: Int, first: String)?
    while let a = mine.first, let b = theirs.first {
      if id(a).elementsEqual(other.id(b)) {
        found = ((found?.count ?? 0) + 1, found?.first ?? self[a])
        mine.removeFirst()
        theirs.removeFirst()
      } else if id(a).lexicographicallyPrecedes(other.id(b)) {
        mine.removeFirst()
      } else {
        theirs.removeFirst()
      }
    }
    return found
  }
}
