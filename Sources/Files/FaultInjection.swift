import Foundation
import Synchronization

/// Ends this process at a chosen instant: a test of durability that needs no luck.
///
/// The environment variable `CARAT_FAULT` holds `<point>:<n>`: at the n-th time that the point is reached (for `write`,
/// at the n-th byte), the process gets SIGKILL, as from a power cut, or at `bug` breaks a precondition. Without the
/// variable nothing happens.
package enum FaultInjection {
  package enum Point: String {
    /// A temporary file was created.
    case create
    /// Bytes were written to it.
    case write
    /// It was synced.
    case sync
    /// It was renamed.
    case rename
    /// The directory was synced.
    case directory
    /// A record was appended to a log.
    case record
    /// A worker began to sum gradients.
    case bug
  }

  private static let plan: (point: Point, count: Int)? = {
    let parts = (ProcessInfo.processInfo.environment["CARAT_FAULT"] ?? "").split(separator: ":")
    guard parts.count == 2, let point = Point(rawValue: String(parts[0])), let count = Int(parts[1]) else { return nil }
    return (point, count)
  }()
  private static let reached = Atomic<Int>(0)

  /// Ends the process here if that was asked for.
  package static func reach(_ point: Point, count: Int = 1) {
    if isDue(point, count: count) { kill(getpid(), SIGKILL) }
  }

  /// Whether the process is to end here.
  package static func isDue(_ point: Point, count: Int = 1) -> Bool {
    guard let plan, plan.point == point else { return false }
    let (before, after) = reached.wrappingAdd(count, ordering: .relaxed)
    return before < plan.count && plan.count <= after
  }
}
