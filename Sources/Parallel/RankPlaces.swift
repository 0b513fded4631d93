/// Where the ranks are: each one's host and the CPUs that it has there.
///
/// A launcher that binds ranks has given each CPUs of its own, which then stay. Where ranks of one machine may use the
/// same CPUs, these are divided among them: node by node, core by core, so that a rank has as few NUMA nodes as can be, and
/// no two ranks a core while there are enough.
package struct RankPlaces: Sendable {
  package struct Place: Sendable, Codable, Equatable {
    package let host: String
    /// The kernel that it runs under.
    let machine: String
    /// The CPUs that the launcher allows: cores, node by node.
    let cores: [[Int]]

    package init(host: String, machine: String, cores: [[Int]]) {
      self.host = host
      self.machine = machine
      self.cores = cores
    }
  }

  package let places: [Place]

  package init(_ places: [Place]) { self.places = places }

  /// Asks every rank where it is.
  package init(_ communicator: any Communicator, _ topology: Topology) {
    let cores = topology.nodes.flatMap(\.cores)
    let own = [Host.name, Host.kernel] + cores.map { $0.map(String.init).joined(separator: ",") }
    places = communicator.gather(own.joined(separator: "\u{0}")).map { text in
      let parts = text.split(separator: "\u{0}", omittingEmptySubsequences: false).map(String.init)
      let cores = parts.dropFirst(2).map { $0.split(separator: ",").compactMap { Int($0) } }
      return Place(host: parts[0], machine: parts[1], cores: cores)
    }
  }

  /// The ranks that share a rank's CPUs, itself included.
  package func sharers(ofRank rank: Int) -> [Int] {
    places.indices.filter { places[$0].machine == places[rank].machine && places[$0].cores == places[rank].cores }
  }

  /// The CPUs that a rank has for itself; one that others have too where there are fewer CPUs than ranks.
  package func cpus(ofRank rank: Int) -> [Int] {
    let (cores, sharers) = (places[rank].cores, sharers(ofRank: rank))
    guard let index = sharers.firstIndex(of: rank), sharers.count > 1, !cores.isEmpty else {
      return cores.flatMap(\.self)
    }
    if cores.count < sharers.count {
      let cpus = cores.flatMap(\.self)
      return [cpus[index % cpus.count]]
    }
    return cores[slice(of: cores.count, part: index, parts: sharers.count, alignment: 1)].flatMap(\.self)
  }

  /// The ranks on a rank's machine, itself included.
  package func neighbours(ofRank rank: Int) -> Int { places.count { $0.machine == places[rank].machine } }

  /// How many machines there are.
  package var machineCount: Int { Set(places.map(\.machine)).count }
}

extension Topology {
  /// What is left with some of the CPUs only.
  package func restricted(to cpus: [Int]) -> Topology {
    let kept = Set(cpus)
    return Topology(
      nodes: nodes.map {
        Node(id: $0.id, cores: $0.cores.map { $0.filter(kept.contains) }, memoryBytes: $0.memoryBytes)
      },
      hasNUMA: hasNUMA)
  }
}
