/// Ranks that were not given the same.
package struct RanksDiffer: Error, Equatable, CustomStringConvertible {
  package let description: String
}

extension Communicator {
  /// Compares what has to be the same on all ranks, by name; all ranks have to call it.
  ///
  /// - Throws: the same on every rank, naming the first rank that differs from rank 0 and in what.
  package func requireAgreement(on facts: [(name: String, value: String)]) throws(RanksDiffer) {
    let (entry, field) = ("\u{1E}", "\u{1F}")
    let own = facts.map { $0.name + field + $0.value }.joined(separator: entry)
    let all = gather("\(Host.name)\(entry)\(own)").map { text in
      text.split(separator: Character(entry), omittingEmptySubsequences: false).map(String.init)
    }
    for (rank, other) in all.enumerated() where other.dropFirst() != all[0].dropFirst() {
      let pairs = zip(all[0].dropFirst(), other.dropFirst()).first { $0 != $1 }
      let (expected, found) = pairs ?? ("number of settings\(field)\(all[0].count)", "\(field)\(other.count)")
      func parts(_ text: String) -> [String] {
        text.split(separator: Character(field), maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      }
      let (first, second) = (parts(expected), parts(found))
      throw RanksDiffer(
        description: "rank \(rank) on host \(other[0]) differs from rank 0 on host \(all[0][0]) in \(first[0]): "
          + "\(second.last ?? "") instead of \(first.last ?? ""); start all ranks with the same program, options and data"
          + (Launcher.wayAlone.map { "; or, \($0)" } ?? "")
      )
    }
  }
}
