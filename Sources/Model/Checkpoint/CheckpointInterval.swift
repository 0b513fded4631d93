/// How often checkpoints are written.
package enum CheckpointInterval: Sendable, Equatable, CustomStringConvertible {
  case steps(Int)
  case seconds(Double)

  /// A number of steps (`500`), or a time in seconds, minutes or hours (`30s`, `10m`, `1h`).
  package init?(_ text: String) {
    let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
    if let steps = Int(text), steps > 0 {
      self = .steps(steps)
    } else if let last = text.last, let unit = units[last], let count = Double(text.dropLast()), count > 0,
      count.isFinite
    {
      self = .seconds(count * unit)
    } else {
      return nil
    }
  }

  package var description: String {
    switch self {
    case .steps(let steps): "\(steps)"
    case .seconds(let seconds): Int(exactly: seconds / 60).map { "\($0)m" } ?? "\(seconds)s"
    }
  }
}
