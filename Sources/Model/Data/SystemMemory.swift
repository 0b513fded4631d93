import Files
import Foundation

/// Memory that this process may still take: what the machine has left, within the limits set for the process.
package enum SystemMemory {
  /// In bytes; nil where the system does not say.
  package static func available() -> Double? {
    var candidates = cgroupDirectories().compactMap(room)
    if let machine = machine() { candidates.append(machine) }
    if let addresses = addressSpace() { candidates.append(addresses) }
    return candidates.min()
  }

  private static func machine() -> Double? {
    guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Double($0) }.map { $0 * 1024 }
    }
    return nil
  }

  /// What `ulimit -v` leaves.
  private static func addressSpace() -> Double? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur != rlim_t.max else {
      return nil
    }
    return Double(limit.rlim_cur) - (mapped() ?? 0)
  }

  /// The process's address space in use, in bytes, touched or not; nil where the system does not say.
  package static func mapped() -> Double? {
    let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ")
    return fields?.first.flatMap { Double($0) }.map { $0 * Double(sysconf(Int32(_SC_PAGESIZE))) }
  }

  /// The control groups of this process, with those above them: each may have a limit.
  private static func cgroupDirectories() -> [String] {
    guard let text = try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8) else { return [] }
    var directories: [String] = []
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let isUnified = fields[1].isEmpty
      guard isUnified || fields[1].split(separator: ",").contains("memory") else { continue }
      let root = isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
      var path = String(fields[2])
      while path.count > 1 {
        directories.append(root + path)
        path = parentDirectory(of: path)
      }
      directories.append(root)
    }
    return directories
  }

  private static func room(inGroup directory: String) -> Double? {
    func number(_ name: String) -> Double? {
      (try? String(contentsOfFile: directory + "/" + name, encoding: .utf8))
        .flatMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
    guard let limit = number("memory.max") ?? number("memory.limit_in_bytes"), limit < 0x1p60 else { return nil }
    // Pages of files count as used, though the kernel gives them back: so the limit less what can't be given back.
    let used = number("memory.current") ?? number("memory.usage_in_bytes") ?? 0
    let files = statistic("file", directory) ?? statistic("total_cache", directory) ?? 0
    return limit - max(0, used - files)
  }

  private static func statistic(_ name: String, _ directory: String) -> Double? {
    guard let text = try? String(contentsOfFile: directory + "/memory.stat", encoding: .utf8) else { return nil }
    let line = text.split(separator: "\n").first { $0.hasPrefix(name + " ") }
    return line?.split(separator: " ").last.flatMap { Double($0) }
  }
}

/// A job that needs more memory than there is, refused before it starts.
public struct MemoryShortage: Error, CustomStringConvertible, Sendable {
  /// What needs it, its largest part and what to do.
  public let what: String
  public let largest: String
  public let remedy: String
  public let needed: Double
  public let available: Double

  public var description: String {
    func size(_ bytes: Double) -> String {
      bytes < 0x1p40 ? "\(Int((bytes / 0x1p20).rounded(.up))) MiB" : "\(Int(min(bytes / 0x1p40, 1e15))) TiB"
    }
    return "\(what) needs at least \(size(needed)) of memory, most of it for \(largest), and \(size(available)) are "
      + "available; \(remedy)"
  }

  /// - Parameter parts: what the memory is for, in bytes.
  package static func check(_ what: String, parts: [(name: String, bytes: Double)], remedy: String)
    throws(MemoryShortage)
  {
    let needed = parts.reduce(0) { $0 + $1.bytes }
    // Where the system does not say, at least no more than an address can reach.
    let available = SystemMemory.available() ?? 0x1p47
    guard needed > available else { return }
    let largest = parts.max { $0.bytes < $1.bytes }?.name ?? ""
    throw MemoryShortage(what: what, largest: largest, remedy: remedy, needed: needed, available: max(available, 0))
  }
}
