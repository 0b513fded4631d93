import Foundation
import Parallel
import TestSupport

/// The checks of communicators, between the processes of a launcher: `mpirun -n 3 ranks-check`, built with the trait MPI
/// (scripts/check/mpi-digests runs it). Fails where a check does, or where the launcher started one process.
@main struct RanksCheck {
  static func main() throws {
    let communicator = try Launcher.join(timeout: .seconds(60))
    guard communicator.size > 1 else { return end("started as one process: mpirun -n 3 \(CommandLine.arguments[0])") }
    let failures = try communicator.gather(
      (CommunicatorChecks.failures(communicator)
        + CommunicatorChecks.failures(ShiftedCommunicator(communicator, by: 1))).joined(separator: "\n"))
    if communicator.rank == 0 {
      let all = failures.filter { !$0.isEmpty }
      all.isEmpty
        ? print("\(communicator.size) ranks over \(Launcher.library ?? "nothing"): good")
        : end(all.joined(separator: "\n"))
    }
    Launcher.leave()
  }

  private static func end(_ reason: String) {
    FileHandle.standardError.write(Data("ranks-check: \(reason)\n".utf8))
    Launcher.end(status: 1)
  }
}
