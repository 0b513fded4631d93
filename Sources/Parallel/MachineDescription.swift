import Foundation
import Tensor

/// What figures were measured with and on: they mean nothing without it.
package struct MachineDescription: Codable, Sendable {
  /// The program's own version.
  package let program: String
  package let compiler: String
  /// What products were built for.
  package let instructionSet: String
  /// What carries messages between ranks; nil for one process.
  package let messageLibrary: String?
  package let kernel: String
  package let cpuModel: String
  /// Of rank 0: the CPUs and memory by NUMA node that the process may use.
  package let topology: Topology
  /// Machines that the ranks run on.
  package let machines: Int
  package let ranks: Int

  private enum CodingKeys: String, CodingKey {
    case program, compiler, kernel, topology, machines, ranks
    case instructionSet = "instruction_set"
    case messageLibrary = "message_library"
    case cpuModel = "cpu_model"
  }

  /// Of several ranks, all have to call it.
  package init(communicator: any Communicator) {
    program = programVersion
    compiler = Self.builtWith
    instructionSet = InstructionSet.description
    messageLibrary = Launcher.library
    kernel =
      (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8))?
      .trimmingCharacters(in: .whitespacesAndNewlines) ?? "unknown"
    cpuModel = Self.processor
    topology = .current()
    machines = RankPlaces(communicator, topology).machineCount
    ranks = communicator.size
  }

  /// What this machine's processor calls itself.
  package static let processor: String = {
    let processors = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    return processors.split(separator: "\n").first { $0.hasPrefix("model name") }?
      .split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "an unknown processor"
  }()

  /// The compiler tells the program its version only by comparison.
  private static var builtWith: String {
    #if compiler(>=6.5)
      "Swift 6.5 or later"
    #elseif compiler(>=6.4)
      "Swift 6.4"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #elseif compiler(>=6.2)
      "Swift 6.2"
    #else
      "Swift 6.1"
    #endif
  }
}
