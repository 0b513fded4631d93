import Tensor

/// Part `part` of `parts` of 0..<`count`: contiguous, of nearly equal length, in order, covering everything.
///
/// Inner limits are multiples of `alignment`, so that parts of a flat buffer share no cache line (16 floats). Parts
/// are empty where there are more of them than aligned units.
package func slice(of count: Int, part: Int, parts: Int, alignment: Int = 1) -> Range<Int> {
  precondition(count >= 0 && alignment > 0, "\(count) elements aligned to \(alignment)")
  precondition(part >= 0 && part < parts, "part \(part) of \(parts)")
  let units = (count + alignment - 1) / alignment
  let (start, end) = (part * units / parts * alignment, (part + 1) * units / parts * alignment)
  return min(start, count)..<min(end, count)
}

extension Range<Int> {
  /// The same length, so much further.
  package func shifted(by offset: Int) -> Range<Int> { lowerBound + offset..<upperBound + offset }
}
