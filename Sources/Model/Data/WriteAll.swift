import Foundation

/// Writes all of some bytes to a file, in portions; a signal in between is no error.
///
/// - Parameter report: hears how many bytes each portion had.
/// - Returns: whether all were written; if not, `errno` says why.
public func writeAll(
  _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, report: (Int) -> Void = { _ in }
) -> Bool {
  var rest = bytes[...]
  while !rest.isEmpty {
    let portion = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 20))
    let written = write(descriptor, portion.baseAddress, portion.count)
    if written < 0, errno == EINTR { continue }
    guard written > 0 else { return false }
    report(written)
    rest = rest.dropFirst(written)
  }
  return true
}
