import Parallel

/// What of its machine a rank may use.
struct MachineShare {
  /// CPUs of its own, and all memory.
  let topology: Topology
  /// CPUs' time that it is granted, in CPUs; nil without a limit.
  let limit: Double?
  /// Where all ranks are, if there are several.
  let places: RankPlaces?

  /// All ranks have to call it.
  init(_ communicator: any Communicator) {
    let (topology, limit) = (Topology.current(), ProcessorLimit.current())
    guard communicator.size > 1 else {
      (self.topology, self.limit, places) = (topology, limit, nil)
      return
    }
    let places = RankPlaces(communicator, topology)
    self.topology = topology.restricted(to: places.cpus(ofRank: communicator.rank))
    self.limit = limit.map { $0 / Double(places.neighbours(ofRank: communicator.rank)) }
    self.places = places
  }

  var defaultWorkers: Int { topology.defaultWorkers(limit: limit) }
}
