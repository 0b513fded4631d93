import Glibc

/// Where the kernel says that memory is, compared with where it was to be.
package struct PlacementCheck: Sendable, Codable, Equatable {
  package struct Region: Sendable, Codable, Equatable {
    package let name: String
    /// Where it was to be, in words.
    package let planned: String
    package let mebibytes: Double
    /// One page in so many was looked up; 1 is every page.
    package let sampledEvery: Int
    /// Pages that were looked up and have been touched.
    package let pages: Int
    /// Those of them that are not where they were to be.
    package let elsewhere: Int
    /// Those of them on each node, by its id.
    package let nodes: [String: Int]

    private enum CodingKeys: String, CodingKey {
      case name, planned, pages, elsewhere, nodes
      case mebibytes = "mib"
      case sampledEvery = "sampled_every"
    }
  }

  package let policy: MemoryPolicy
  package let regions: [Region]
  /// Pages of all regions that were looked up and have been touched.
  package let pages: Int
  package let elsewhere: Int
  /// Why the kernel told nothing, if it did not.
  package let refusal: String?

  private enum CodingKeys: String, CodingKey {
    case regions, pages, elsewhere, refusal
    case policy = "numa"
  }

  /// Most pages of one arena to look up: the kernel takes 0.2 µs for each, more on a busy machine.
  static let maximumPages = 8192
  /// Primes, so that a sample of interleaved pages meets every node.
  private static let strides = [1, 7, 61, 509, 4093]

  /// Asks the kernel about memory that has been touched.
  package init(_ regions: [MemoryRegion], placement: Placement) {
    let allowed = NUMA.allowedMemoryNodes()
    var refusal = placement.topology.absence
    self.regions = regions.map { region in
      let pages = region.arena.mappedBytes / NUMA.pageBytes
      let stride = Self.strides.first { pages / $0 <= Self.maximumPages } ?? Self.strides[Self.strides.count - 1]
      var nodes: [Int: Int] = [:]
      for (location, count) in region.arena.pages(every: stride) {
        switch location {
        case .node(let node): nodes[node] = count
        case .nowhere: break
        case .unknown(let code):
          refusal = refusal ?? "the kernel does not tell where pages are (\(String(cString: strerror(code))))"
        }
      }
      return Region(
        name: region.name, planned: region.arena.placement.description,
        mebibytes: Double(region.arena.bytes) / 0x1p20, sampledEvery: stride, pages: nodes.values.reduce(0, +),
        elsewhere: Self.elsewhere(
          nodes, planned: region.arena.placement, allowed: allowed,
          uneven: max(4, region.arena.unevenPages / stride)),
        nodes: Dictionary(uniqueKeysWithValues: nodes.map { ("\($0)", $1) }))
    }
    policy = placement.effectivePolicy
    pages = self.regions.reduce(0) { $0 + $1.pages }
    elsewhere = self.regions.reduce(0) { $0 + $1.elsewhere }
    self.refusal = refusal
  }

  /// How many pages are not where they were to be.
  ///
  /// Interleaved pages are to be on nodes that the process may use, and on none of them many more than on others: what
  /// a node has beyond 5/4 of an even share and `uneven` pages counts.
  static func elsewhere(_ nodes: [Int: Int], planned: MemoryPlacement, allowed: [Int], uneven: Int) -> Int {
    let total = nodes.values.reduce(0, +)
    switch planned {
    case .anywhere: return 0
    case .node(let node): return total - nodes[node, default: 0]
    case .interleaved:
      let most = total * 5 / (4 * max(allowed.count, 1)) + uneven
      return nodes.reduce(0) { $0 + (allowed.contains($1.key) ? max(0, $1.value - most) : $1.value) }
    }
  }
}

extension PlacementCheck: CustomStringConvertible {
  /// One line.
  package var description: String {
    if let refusal { return "memory placement not checked: \(refusal)" }
    let looked = "\(pages) pages looked up (--numa \(policy.rawValue))"
    guard elsewhere > 0 else { return "memory placement: all \(looked) are as planned" }
    let worst = regions.filter { $0.elsewhere > 0 }.map { region in
      "\(region.name): \(region.elsewhere) of \(region.pages) not \(region.planned)"
    }
    return "memory placement: \(elsewhere) of \(looked) are not as planned: \(worst.joined(separator: "; "))"
  }
}
