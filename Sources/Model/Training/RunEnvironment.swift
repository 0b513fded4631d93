import Parallel
import Tensor

/// What computes a run, on rank 0: its results do not depend on it, its times do.
package struct RunEnvironment: Codable, Equatable, Sendable {
  /// The program's version.
  package let program: String
  /// What products were built for.
  package let instructionSet: String
  package let host: String
  package let cpuModel: String

  /// Of this process.
  package static let current = RunEnvironment(
    program: programVersion, instructionSet: InstructionSet.description, host: Host.name,
    cpuModel: MachineDescription.processor)

  private enum CodingKeys: String, CodingKey {
    case program, host
    case instructionSet = "instruction_set"
    case cpuModel = "cpu_model"
  }
}
