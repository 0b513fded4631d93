import Foundation

/// The last line of a terminal during a run: what there is room for.
struct ProgressBar {
  /// Such as "epoch 3/20".
  var title: String
  var done: Int
  var count: Int
  /// What follows the bar, the most important first.
  var parts: [String]

  /// The line, no longer than `columns` characters: parts are left out from the end, then the bar, then letters.
  func line(columns: Int) -> String {
    let number = "\(done)/\(count)"
    for kept in stride(from: parts.count, through: 0, by: -1) {
      let rest = ([number] + parts.prefix(kept)).joined(separator: " · ")
      let room = columns - title.count - rest.count - 4
      guard room >= 5 else { continue }
      let width = min(room, 20)
      let filled = count > 0 ? min(width, width * done / count) : 0
      let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
      return "\(title) [\(bar)] \(rest)"
    }
    return String("\(title) \(number)".prefix(max(columns, 0)))
  }

  /// Hours, minutes and seconds: 00:07, 02:10, 1:02:03; days where there are some.
  static func time(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "?" }
    let total = Int(max(seconds, 0).rounded())
    let (days, hours, minutes) = (total / 86_400, total / 3600 % 24, total / 60 % 60)
    let rest = String(format: "%02d:%02d", minutes, total % 60)
    if days > 0 { return "\(days) d \(hours):" + rest }
    return hours > 0 ? "\(hours):" + rest : rest
  }
}
