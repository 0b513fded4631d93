/// How much of the CPUs' time this process is granted, whatever CPUs it may run on: the quota of its control group (cgroup) or of
/// one above it, which containers (`--cpus 2`) and batch systems set. Workers beyond it only wait for one another, for
/// the system stops all of them until the next period.
package enum ProcessorLimit {
  /// In CPUs, such as 2.5; nil if there is no limit.
  package static func current() -> Double? { read(root: "/") }

  /// - Parameter root: where /proc and /sys are, for tests.
  static func read(root: String) -> Double? {
    var limits: [Double] = []
    for line in SystemFile.lines(root + "/proc/self/cgroup") ?? [] {
      // number:controllers:path; without controllers that of version 2.
      let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 3 else { continue }
      let controllers = parts[1].split(separator: ",")
      if parts[1].isEmpty {
        for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
          limits += groups(root + mount, parts[2]).compactMap(quota)
        }
      } else if controllers.contains("cpu") {
        for mount in ["/sys/fs/cgroup/\(parts[1])", "/sys/fs/cgroup/cpu"] {
          limits += groups(root + mount, parts[2]).compactMap(olderQuota)
        }
      }
    }
    return limits.min()
  }

  /// The directories of a group and all above it. A container may show its own group as the root.
  private static func groups(_ mount: String, _ path: String) -> [String] {
    var (group, groups) = (mount, [mount])
    for name in path.split(separator: "/") {
      group += "/\(name)"
      groups.append(group)
    }
    return groups
  }

  /// cpu.max: quota and period in microseconds, or "max".
  private static func quota(_ group: String) -> Double? {
    let values = SystemFile.line(group + "/cpu.max")?.split(separator: " ").map { Double($0) } ?? []
    guard values.count == 2, let quota = values[0], let period = values[1], quota > 0, period > 0 else { return nil }
    return quota / period
  }

  /// The same of version 1, where -1 is no limit.
  private static func olderQuota(_ group: String) -> Double? {
    guard let quota = SystemFile.line(group + "/cpu.cfs_quota_us").flatMap(Double.init),
      let period = SystemFile.line(group + "/cpu.cfs_period_us").flatMap(Double.init), quota > 0, period > 0
    else { return nil }
    return quota / period
  }
}
