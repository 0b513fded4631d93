import Files
import Tensor

/// One modality of a split: a sequence of feature vectors a sample, viewed in the mapped file.
///
/// Shapes: N samples, T steps, F features.
package struct ModalityData: Sendable {
  /// What the modality's tensor is called in the file: "text".
  package let name: String
  /// T, the steps of every sequence, padding included.
  package let steps: Int
  /// F, the features of a step.
  package let features: Int
  /// Steps of each sample that are not padding, 1 … T; all T where the file has no `<name>_length`.
  package let lengths: [Int]
  /// Whether some features are −∞, which stand for 0: then `DatasetSplit.copyFeatures` replaces them.
  package let hasNegativeInfinity: Bool

  let rows: FloatRows

  func advise(_ advice: MappedFile.Advice, sample: Int) { rows.advise(advice, sample..<sample + 1) }
}

/// The rows of a float32 tensor in a mapped file: row i is all that belongs to sample i.
struct FloatRows: Sendable {
  private let tensor: FileBytes
  /// Bytes of a row.
  private let stride: Int

  /// The tensor `name`, [count, …], of which every row has `width` floats.
  init(_ file: SafetensorsFile, name: String, width: Int) throws(DataError) {
    tensor = FileBytes(file, try file.floatBytes(name))
    stride = width * MemoryLayout<Float>.stride
  }

  /// The bytes of a row's floats. Files need not align them: they are copied, or loaded unaligned.
  subscript(row: Int) -> UnsafeRawBufferPointer {
    let bytes = tensor.bytes
    precondition(row >= 0 && (row + 1) * stride <= bytes.count, "row \(row) of \(bytes.count / max(stride, 1))")
    return UnsafeRawBufferPointer(rebasing: bytes[row * stride..<(row + 1) * stride])
  }

  /// Tells the kernel about the pages of some rows.
  func advise(_ advice: MappedFile.Advice, _ range: Range<Int>) {
    tensor.file.advise(
      advice, UnsafeRawBufferPointer(rebasing: tensor.bytes[range.lowerBound * stride..<range.upperBound * stride]))
  }
}
