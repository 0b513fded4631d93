import Parallel

/// A core that computed something else than others did.
package struct Fault: Codable, Sendable, Equatable {
  /// Of the run, counted from 1.
  package let step: Int
  /// The part of the step in which the results parted.
  package let stage: String
  /// What was written otherwise; nil where only the stage is known.
  package let tensor: String?
  package let rank: Int
  package let host: String
  package let cpu: Int
  /// The core's place among those of its rank.
  package let seat: Int

  package var description: String {
    "step \(step): CPU \(cpu) of host \(host) computed \(tensor.map { "\($0) (\(stage))" } ?? stage) otherwise than other cores"
  }
}

/// A faulty core, of a run that is to stop then.
package struct FaultyProcessor: Error, CustomStringConvertible, Sendable {
  let faults: [Fault]
  /// The state that is known to be right.
  let checkpoint: String

  package var description: String {
    faults.map(\.description).joined(separator: "; ")
      + "; the state in \(checkpoint) is right: take the CPU out of use, and continue with --resume on others"
  }
}

/// Computations of which no two agree: nothing tells which is right.
package struct Unsettled: Error, CustomStringConvertible, Sendable {
  let step: Int
  let computations: Int
  let host: String
  /// The core that explains it alone, if there is one: its rank has no other.
  let culprit: Auditor.Core?

  package var description: String {
    let rest = "the last checkpoint is right, continue with --resume"
    if let culprit {
      return
        "step \(step): \(computations) computations, of which no two on different cores agree: CPU \(culprit.cpu) of host "
        + "\(culprit.host) computes otherwise than others, and rank \(culprit.rank) has no other; \(rest) without it"
    }
    return
      "step \(step): no two of \(computations) computations on different cores agree, first on host \(host): no result of "
      + "this machine can be trusted; \(rest) on another machine"
  }
}
