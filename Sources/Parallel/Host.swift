import Foundation

/// The machine that this process runs on.
package enum Host {
  package static let name: String = {
    var text = [CChar](repeating: 0, count: 256)
    guard gethostname(&text, text.count - 1) == 0 else { return "unknown" }
    return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "unknown" }
  }()

  /// The same for all processes on the same CPUs, in whatever container: the running kernel's own number.
  static let kernel: String = {
    let file = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    return file ?? name
  }()
}
