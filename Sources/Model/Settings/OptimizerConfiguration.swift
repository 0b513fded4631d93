/// BertAdam's settings and its learning-rate schedule: a linear rise over the first part of all steps, then a linear
/// fall to 0. The first step's rate is 0.
///
/// A run that continues with another number of steps has the schedule of that number, as if it had been so from the start,
/// unless it started one of its own (`ScheduleStart`).
public struct OptimizerConfiguration: Codable, Sendable, Equatable {
  public var learningRate = 5e-5
  /// The share of all steps over which the rate rises.
  public var warmup = 0.1
  package var totalSteps: Int
  public var weightDecay: Float = 0.01
  /// Gradients are clipped to this norm: all together, then each tensor.
  public var maximumNorm: Float = 1
  /// How much of the weights' moving average stays at a step, once there were many; nil for no average.
  public var averageDecay: Double?
  /// Where the schedule started, if not at the run's first step.
  package var scheduleStart: ScheduleStart?

  package init(totalSteps: Int) { self.totalSteps = totalSteps }

  /// The learning rate of a step, counted from 0.
  public func rate(atStep step: Int) -> Float { Float(learningRate * share(atStep: step)) }

  /// How much of the weights' moving average stays at a step, counted from 0: early steps, when there is little to average,
  /// let go of the initial weights.
  func averageDecay(atStep step: Int) -> Double? {
    averageDecay.map { min($0, Double(1 + step) / Double(10 + step)) }
  }

  /// The share of the learning rate that a step has. With n steps before the schedule's start and N in all:
  ///
  /// - started anew: of x = (step − n) / (N − n), x / w below the warm-up's share w, then (1 − x) / (1 − w);
  /// - continued from a share a: from a at step n to 1 at the peak of a rise that was under way, then to 0 at step N;
  ///   without a rise from a at step n to 0 at step N.
  private func share(atStep step: Int) -> Double {
    let (first, end) = (Double(scheduleStart?.step ?? 0), Double(totalSteps))
    guard let share = scheduleStart?.share else {
      let x = (Double(step) - first) / max(end - first, 1)
      return x < warmup ? x / warmup : max((x - 1) / (warmup - 1), 0)
    }
    // A run that became shorter may end before the peak: then it only falls.
    let peak = peakStep < end ? peakStep : first
    if Double(step) < peak { return share + (1 - share) * max(Double(step) - first, 0) / (peak - first) }
    return end > peak ? max((peak > first ? 1 : share) * (end - Double(step)) / (end - peak), 0) : 0
  }

  /// Where the rate rises no more.
  private var peakStep: Double {
    guard let start = scheduleStart else { return warmup * Double(totalSteps) }
    let first = Double(start.step)
    return start.share == nil ? first + warmup * max(Double(totalSteps) - first, 0) : start.peakStep ?? first
  }

  /// A schedule's start after so many steps of this one.
  ///
  /// - Returns: nil if there is nothing to continue with: the rate has fallen to 0.
  package func scheduleStart(_ change: ScheduleChange, afterSteps step: Int) -> ScheduleStart? {
    if change == .restart { return ScheduleStart(step: step) }
    let (share, peak) = (share(atStep: step), peakStep)
    let isRising = Double(step) < peak
    return isRising || share > 0 ? ScheduleStart(step: step, share: share, peakStep: isRising ? peak : nil) : nil
  }

  /// Whether another warm-up would change nothing: the rate continues from where it was.
  package var isContinued: Bool { scheduleStart?.share != nil }

  /// What contradicts itself, in words; nil if nothing does.
  var contradiction: String? {
    if !(learningRate > 0 && learningRate < 1e3) {
      return "learning rate must be above 0 and below 1000, not \(learningRate)"
    }
    if !(warmup >= 0 && warmup < 1) { return "warm-up must be at least 0 and below 1, not \(warmup)" }
    if !(weightDecay >= 0 && weightDecay < 1e3) {
      return "weight decay must be at least 0 and below 1000, not \(weightDecay)"
    }
    if !(maximumNorm > 0) { return "maximum norm must be above 0, not \(maximumNorm)" }
    if let averageDecay, !(averageDecay >= 0 && Float(averageDecay) < 1) {
      return "what stays of averaged weights must be at least 0 and below 1, as float32, not \(averageDecay)"
    }
    guard let start = scheduleStart else { return nil }
    let limit = Int(Int32.max)
    guard (0...limit).contains(start.step), (0...1).contains(start.share ?? 0),
      (0...Double(limit)).contains(start.peakStep ?? 0), start.share != nil || start.peakStep == nil
    else { return "a schedule that starts at step \(start.step) with share \(start.share ?? 0) of the learning rate" }
    return nil
  }
}

/// What becomes of the learning rate of a run that continues with another number of steps.
package enum ScheduleChange: String, Sendable, CaseIterable {
  /// It continues from where it is, without a jump: a warm-up that is under way ends where it would have, then the rate
  /// falls linearly to 0 at the new end.
  case `continue`
  /// It starts anew: a warm-up and a fall over the steps that remain.
  case restart
}

/// A schedule that started after a number of steps.
package struct ScheduleStart: Codable, Sendable, Equatable {
  /// Steps taken before.
  package var step: Int
  /// The share of the learning rate that the next step has; nil if it starts anew, with a warm-up.
  package var share: Double?
  /// The step, from the run's first, at which a rise that continues ends.
  package var peakStep: Double?

  package init(step: Int, share: Double? = nil, peakStep: Double? = nil) {
    (self.step, self.share, self.peakStep) = (step, share, peakStep)
  }

  /// What it was made by.
  package var change: ScheduleChange { share == nil ? .restart : .continue }
}
