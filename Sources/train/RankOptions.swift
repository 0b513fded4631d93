import ArgumentParser
import Files
import Logging
import Model
import Parallel

/// The ranks of a run that mpirun or srun started as several processes.
struct RankOptions: ParsableArguments {
  @Option(
    "Of a run on several ranks (mpirun, srun): after so many seconds without a sign of life from one, the others end the "
      + "run.", value: "seconds")
  var rankTimeout = 30.0

  func validate() throws {
    if !(1...86_400).contains(rankTimeout) {
      throw ValidationError("--rank-timeout must be between 1 and 86400 seconds, not \(rankTimeout).")
    }
  }

  /// All ranks; one where no launcher started several.
  func join() throws -> any Communicator { try Launcher.join(timeout: .seconds(rankTimeout)) }
}

extension Communicator {
  /// Compares what the ranks of a command were started with; all ranks have to call it.
  ///
  /// - Throws: `RanksDiffer` unless it is the same.
  func requireAgreement(on settings: RunConfiguration, and options: [(name: String, value: String)]) throws {
    let leaves = try JSON.leaves(of: settings).sorted { $0.key < $1.key }
    try requireAgreement(
      on: [("the program's version", programVersion)]
        + leaves.map { ("the setting \($0.key)", $0.value) } + options)
  }
}

extension WorkerOptions {
  /// This rank's team, on its share of the CPUs of its machine.
  ///
  /// - Parameter communicator: nil where the command can't be spread over ranks.
  func makeTeam(_ communicator: (any Communicator)? = nil) throws -> WorkerTeam {
    try placement.makeTeam(workers: workers, communicator)
  }
}

extension PlacementOptions {
  /// This rank's team, on its share of the CPUs of its machine.
  ///
  /// - Parameters:
  ///   - workers: nil for one a CPU.
  ///   - communicator: nil where the command can't be spread over ranks.
  ///   - announces: whether to say where workers are, as the first team of a process does.
  func makeTeam(workers: Int?, _ communicator: (any Communicator)?, announces: Bool = true) throws -> WorkerTeam {
    guard communicator != nil || Launcher.announced.size == 1 else {
      throw LaunchError(
        "this command runs as one process: start it without mpirun or srun"
          + (Launcher.wayAlone.map { "; or, \($0)" } ?? ""))
    }
    let communicator = communicator ?? SoloCommunicator()
    LogLines.isVerbose.store(verbose && communicator.rank == 0, ordering: .relaxed)
    let share = MachineShare(communicator)
    let placement = Placement(share.topology, workers: workers ?? share.defaultWorkers, memory: numa ?? .nodeLocal)
    if announces && communicator.rank == 0 { tell(placement, share, isAsked: workers != nil) }
    let team = WorkerTeam(placement: placement, communicator: communicator)
    if announces, let places = share.places { report(places, team) }
    return team
  }

  /// Rank 0 tells where all ranks are: one line, and with --verbose one a rank.
  private func report(_ places: RankPlaces, _ team: WorkerTeam) {
    let (ranks, placement) = (team.ranks, team.placement)
    let cpus = Set(placement.workers.indices.flatMap(placement.affinity(ofWorker:))).sorted()
    let nodes = placement.nodes.map(String.init).joined(separator: ",")
    let line =
      "rank \(ranks.rank) on host \(Host.name): \(placement.count) worker\(placement.count == 1 ? "" : "s") on CPUs "
      + "\(Placement.ranges(cpus)) of node \(nodes)"
    let lines = ranks.communicator.gather(line)
    guard ranks.rank == 0 else { return }
    let logger = Logger(label: "carat.ranks")
    let isDivided = places.places.indices.contains { places.sharers(ofRank: $0).count > 1 }
    logger.notice(
      """
      \(ranks.size) ranks on \(places.machineCount) machine\(places.machineCount == 1 ? "" : "s"), \
      \(ranks.workerCount) workers; \(isDivided ? "the ranks of a machine divide its CPUs" : "CPUs as the launcher gave them")
      """)
    for line in lines { logger.info("\(line)") }
  }
}
