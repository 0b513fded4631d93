/// The time that each worker spent in each phase, added up over steps.
final class PhaseTimes: @unchecked Sendable {
  // Proof of Sendable: a worker writes its own row only, and rows are read, and counting begins or ends, while the team rests.

  /// Whether time counts: set while the team rests.
  var isCounting = true
  private let workers: Int
  /// Nanoseconds [workers, stride], in whole cache lines.
  private let sums: UnsafeMutablePointer<UInt64>
  private let stride = (StepPhase.allCases.count + 7) / 8 * 8

  init(workers: Int) {
    self.workers = workers
    sums = .allocate(capacity: workers * stride)
    sums.initialize(repeating: 0, count: workers * stride)
  }

  deinit { sums.deallocate() }

  /// Runs a worker's part of a phase.
  func time(_ worker: Int, _ phase: StepPhase, _ body: () -> Void) {
    guard isCounting else { return body() }
    let start = Timeline.now()
    body()
    sums[worker * stride + phase.rawValue] += Timeline.now() - start
  }

  /// Does what is no part of a run's steps.
  func pausing<T>(_ body: () throws -> T) rethrows -> T {
    let before = isCounting
    defer { isCounting = before }
    isCounting = false
    return try body()
  }

  /// Seconds by phase, the mean over workers, of those that took any; then they begin at 0 again.
  func take() -> [StepPhase: Double] {
    var means: [StepPhase: Double] = [:]
    for phase in StepPhase.allCases {
      let sum = (0..<workers).reduce(UInt64(0)) { $0 + sums[$1 * stride + phase.rawValue] }
      if sum > 0 { means[phase] = Double(sum) * 1e-9 / Double(workers) }
    }
    sums.update(repeating: 0, count: workers * stride)
    return means
  }
}
