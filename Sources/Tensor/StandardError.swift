import Glibc

/// The one way to the standard error. What can't be written there (nobody reads it, the disk is full, the terminal is
/// gone) is dropped: it is no reason to end a run.
package enum StandardError {
  /// Milliseconds that a reader may be late whose pipe does not block its writer.
  private static let patience: Int32 = 1000

  /// Writes lines, at once; what would break one or drive a terminal is shown escaped.
  package static func write(lines: String...) { write(lines: lines) }

  package static func write(lines: [String]) {
    var text = lines.map { oneLine($0) + "\n" }.joined()
    text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
  }

  /// Writes bytes as they are; may be called in a signal handler.
  package static func write(_ bytes: UnsafeRawBufferPointer) {
    _ = writeAll(bytes, to: STDERR_FILENO, patience: patience)
  }
}

/// Takes the numbers 0 to 2 of those standard streams that are closed, before a data file gets one of them.
///
/// Each becomes `/dev/null`, opened the wrong way round: who writes there is told that it can't be (`EBADF`), as of a
/// closed stream.
package func reserveStandardStreams() {
  for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
    _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
  }
}
