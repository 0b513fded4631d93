/// Where the ranks are: each one's host and the CPUs that it has there.
///
/// A launcher that binds ranks has given each CPUs of its own, which then stay. Where ranks of one machine may use the
/// same CPUs, these are divided among them: node by node, contiguous, so that a rank has as few NUMA nodes as can be.
public struct RankPlaces: Sendable {
  public struct Place: Sendable, Codable, Equatable {
    public let host: String
    /// The kernel that it runs under.
    let machine: String
    /// The CPUs that the launcher allows, node by node.
    let allowed: [Int]

    public init(host: String, machine: String, allowed: [Int]) {
      self.host = host
      self.machine = machine
      self.allowed = allowed
    }
  }

  public let places: [Place]

  public init(_ places: [Place]) { self.places = places }

  /// Asks every rank where it is.
  public init(_ communicator: any Communicator, _ topology: Topology) {
    let cpus = topology.nodes.flatMap(\.cpus)
    let own = [Host.name, Host.kernel] + cpus.map(String.init)
    places = communicator.gather(own.joined(separator: "\u{0}")).map { text in
      let parts = text.split(separator: "\u{0}", omittingEmptySubsequences: false).map(String.init)
      return Place(host: parts[0], machine: parts[1], allowed: parts.dropFirst(2).compactMap { Int($0) })
    }
  }

  /// The ranks that share a rank's CPUs, itself included.
  public func sharers(ofRank rank: Int) -> [Int] {
    places.indices.filter { places[$0].machine == places[rank].machine && places[$0].allowed == places[rank].allowed }
  }

  /// The CPUs that a rank has for itself; one that others have too where there are fewer CPUs than ranks.
  public func cpus(ofRank rank: Int) -> [Int] {
    let (allowed, sharers) = (places[rank].allowed, sharers(ofRank: rank))
    guard let index = sharers.firstIndex(of: rank), sharers.count > 1, !allowed.isEmpty else { return allowed }
    if allowed.count < sharers.count { return [allowed[index % allowed.count]] }
    return Array(allowed[slice(of: allowed.count, part: index, parts: sharers.count, alignment: 1)])
  }

  /// How many machines there are.
  public var machineCount: Int { Set(places.map(\.machine)).count }
}

extension Topology {
  /// What is left with some of the CPUs only.
  public func restricted(to cpus: [Int]) -> Topology {
    let kept = Set(cpus)
    return Topology(
      nodes: nodes.map { Node(id: $0.id, cpus: $0.cpus.filter(kept.contains), memoryBytes: $0.memoryBytes) },
      hasNUMA: hasNUMA)
  }
}
