import Foundation
import Synchronization

/// Kills this process at a chosen instant of its writing: a test of durability that needs no luck.
///
/// The environment variable `CARAT_FAULT` holds `<point>:<n>`: at the n-th time that the point is reached (for `write`,
/// at the n-th byte), the process gets SIGKILL, as from a power cut. Without the variable nothing happens.
enum FaultInjection {
  enum Point: String {
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
  }

  private static let plan: (point: Point, count: Int)? = {
    let parts = (ProcessInfo.processInfo.environment["CARAT_FAULT"] ?? "").split(separator: ":")
    guard parts.count == 2, let point = Point(rawValue: String(parts[0])), let count = Int(parts[1]) else { return nil }
    return (point, count)
  }()
  private static let reached = Atomic<Int>(0)

  static func reach(_ point: Point, count: Int = 1) {
    guard let plan, plan.point == point else { return }
    let (before, after) = reached.wrappingAdd(count, ordering: .relaxed)
    if before < plan.count && plan.count <= after { kill(getpid(), SIGKILL) }
  }
}
