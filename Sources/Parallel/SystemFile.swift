import Foundation

/// What the kernel tells in small files below /proc and /sys.
enum SystemFile {
  /// The first line of a file; nil if there is none.
  static func line(_ path: String) -> String? { lines(path)?.first }

  static func lines(_ path: String) -> [String]? {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    return text.split(separator: "\n").map(String.init)
  }

  /// CPUs as the kernel writes them, 0-3,8; nil if that is not what it is.
  static func cpus(_ text: String) -> [Int]? {
    var cpus: [Int] = []
    for part in text.split(separator: ",") {
      let ends = part.split(separator: "-").map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last,
        last - first < 65536
      else { return nil }
      cpus += first...last
    }
    return cpus
  }
}
