import Glibc

/// Writes all of some bytes to a file, in portions; a signal in between is no error, nor is a pipe or a terminal that takes
/// no more for the moment.
///
/// Without a report it does only what may be done in a signal handler.
///
/// - Parameters:
///   - patience: milliseconds to wait for a descriptor that does not block (`EAGAIN`) until it takes more; below 0 for ever.
///   - report: hears how many bytes each portion had.
/// - Returns: whether all were written; if not, `errno` says why.
package func writeAll(
  _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, patience: Int32 = -1, report: (Int) -> Void = { _ in }
) -> Bool {
  var rest = bytes[...]
  while !rest.isEmpty {
    let portion = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 20))
    let written = write(descriptor, portion.baseAddress, portion.count)
    if written < 0, errno == EINTR || errno == EAGAIN && takesMore(descriptor, patience) { continue }
    guard written > 0 else { return false }
    report(written)
    rest = rest.dropFirst(written)
  }
  return true
}

/// Waits; if that was in vain, `errno` is `EAGAIN`.
private func takesMore(_ descriptor: Int32, _ patience: Int32) -> Bool {
  var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
  let ready = poll(&wanted, 1, patience)
  let goesOn = ready > 0 || ready < 0 && errno == EINTR
  if !goesOn { errno = EAGAIN }
  return goesOn
}
