/// A core of a rank, in a place among those that its workers may have.
struct Core: Codable, Hashable, Sendable {
  let rank: Int
  let host: String
  let cpu: Int
  let seat: Int

  var description: String { "CPU \(cpu) of host \(host)" }
}

/// Something that a core computed otherwise than others did.
struct Fault: Codable, Sendable, Equatable {
  /// Of the run, counted from 1.
  let step: Int
  /// The part of the step in which the results parted.
  let stage: String
  /// What was written otherwise; nil where only the stage is known.
  let tensor: String?
  /// Nil where it is not known.
  let core: Core?

  var description: String {
    "step \(step): \(core?.description ?? "some core") computed \(tensor.map { "\($0) (\(stage))" } ?? stage) otherwise than "
      + "other cores"
  }
}

/// A fault, in `metrics.jsonl`.
struct FaultRecord: Encodable {
  static let event = "fault"
  let fault: Fault
  /// What becomes of the core.
  let action: FaultPolicy

  private enum CodingKeys: String, CodingKey { case event, step, stage, tensor, rank, host, cpu, seat, action }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(Self.event, forKey: .event)
    try container.encode(fault.step, forKey: .step)
    try container.encode(fault.stage, forKey: .stage)
    try container.encodeIfPresent(fault.tensor, forKey: .tensor)
    try container.encodeIfPresent(fault.core?.rank, forKey: .rank)
    try container.encodeIfPresent(fault.core?.host, forKey: .host)
    try container.encodeIfPresent(fault.core?.cpu, forKey: .cpu)
    try container.encodeIfPresent(fault.core?.seat, forKey: .seat)
    try container.encode(action.rawValue, forKey: .action)
  }
}

/// A faulty core, of a run that is to stop then.
package struct FaultyProcessor: Error, CustomStringConvertible, Sendable {
  let faults: [Fault]
  /// What to do, in words.
  let advice: String

  package var description: String { faults.map(\.description).joined(separator: "; ") + "; " + advice }
}

/// Computations of which no two agree: nothing tells which is right.
package struct Unsettled: Error, CustomStringConvertible, Sendable {
  let step: Int
  let computations: Int
  /// The only core that its rank has, where it explains the differences by itself.
  let culprit: Core?
  /// What to do, in words.
  var advice = ""

  package var description: String {
    let why =
      culprit.map { "\($0.description), the only one of rank \($0.rank), explains it alone" }
      ?? "no result of this machine can be trusted"
    return "step \(step): no two of \(computations) computations agree: \(why); \(advice)"
  }
}
