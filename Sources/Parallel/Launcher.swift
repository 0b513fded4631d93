import Glibc
import Synchronization

/// What started this process, mpirun or srun, and whether among others.
package enum Launcher {
  /// Environment variables by which launchers tell a process its rank and the number of ranks: Open MPI's mpirun;
  /// MPICH's, and srun --mpi=pmi2; srun --mpi=pmix.
  private static let variables = [
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"), ("PMIX_RANK", "SLURM_STEP_NUM_TASKS"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
  ]

  /// The rank and the number of ranks that the launcher told; 0 of 1 where there is none.
  package static let announced: (rank: Int, size: Int) = {
    for (rank, size) in variables {
      if let rank = number(rank), let size = number(size) { return (rank, size) }
    }
    return (0, 1)
  }()

  private static func number(_ variable: String) -> Int? { getenv(variable).flatMap { Int(String(cString: $0)) } }

  /// How a process that a launcher started among others runs by itself; nil if no launcher told of others.
  package static var wayAlone: String? {
    let told = Set(variables.map(\.1)).filter { getenv($0) != nil }.sorted()
    if told.isEmpty { return nil }
    return "for a run of its own in each process, such as a seed each, start it with env "
      + told.map { "-u \($0)" }.joined(separator: " ") + " and an --output each"
  }

  private static let joined = Mutex<MPICommunicator?>(nil)

  /// The communicator of all ranks; that of one process where no launcher started several.
  ///
  /// - Parameter timeout: how long a rank may be silent before the others end the run.
  package static func join(timeout: Duration) throws(LaunchError) -> any Communicator {
    guard announced.size > 1 else { return SoloCommunicator() }
    let communicator = try MPICommunicator(timeout: timeout)
    joined.withLock { $0 = communicator }
    guard communicator.size == announced.size else {
      throw LaunchError(
        """
        the launcher started \(announced.size) processes, of which MPI finds \(communicator.size): start them with the \
        mpirun of \(MPICommunicator.library), for which this program was built, or with an srun --mpi that it knows\
        \(wayAlone.map { "; or, \($0)" } ?? "")
        """)
    }
    return communicator
  }

  /// The MPI library that carries what ranks exchange; nil for a process alone.
  package static var library: String? { announced.size > 1 ? MPICommunicator.library : nil }

  /// The MPI library's own sum of values over all ranks, in an order of its own: to measure ours beside it.
  package static func sumByLibrary(_ values: UnsafeMutablePointer<Float>, count: Int) {
    joined.withLock { $0 }?.sumByLibrary(values, count: count)
  }

  /// Waits for the other ranks and leaves them.
  package static func leave() {
    joined.withLock { communicator in
      communicator?.leave()
      communicator = nil
    }
  }

  /// Ends this process and, where it has joined others, all of them.
  package static func end(status: Int32) -> Never {
    joined.withLock { $0 }?.abort(status: status)
    // Not `exit`: a thread that still writes a checkpoint would find what libraries free then, such as the checksum's.
    fflush(nil)
    _exit(status)
  }
}

/// Ranks that can't be started together.
package struct LaunchError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}
