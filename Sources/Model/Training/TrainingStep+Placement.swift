import Logging
import Parallel

extension TrainingStep {
  /// Asks the kernel where the memory of steps is, after a step has touched it, and logs one line: what is not as
  /// planned is a warning.
  @discardableResult
  package func checkPlacement() -> PlacementCheck {
    let check = PlacementCheck(memory, placement: team.placement)
    Logger(label: "carat.placement").log(level: check.elsewhere > 0 ? .warning : .info, "\(check)")
    return check
  }
}
