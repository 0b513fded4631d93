import Synchronization

// An optimised build drops the message of the standard library's `precondition`, and so the values that would tell a
// user what went wrong in the tenth hour of a run. These take its place wherever this module is imported.

/// Stops the program, with `message` on the standard error, where a caller broke what was agreed.
///
/// - Parameter condition: what must hold.
@inlinable @inline(__always)
package func precondition(
  _ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String = "a condition does not hold",
  file: StaticString = #fileID, line: UInt = #line
) {
  if _slowPath(!condition()) { preconditionFailure(message(), file: file, line: line) }
}

/// Stops the program, with `message` on the standard error, at a place that nothing should ever reach.
@inline(never) @usableFromInline
package func preconditionFailure(
  _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) -> Never {
  StandardError.write(
    lines: "internal error: \(message()) (\(file):\(line)); this is a bug, please report it")
  StopMessage.isWritten.store(true, ordering: .sequentiallyConsistent)
  // The same trap as the standard library's, whose own message is empty in an optimised build.
  Swift.preconditionFailure()
}

/// Whether the reason for which the program stops has been told.
package enum StopMessage {
  package static let isWritten = Atomic<Bool>(false)
}
