/// Which core each worker sits on, when something is to be computed again on others.
///
/// Seats 0..<W are the cores that the placement gave the workers; behind them come cores that the process may use and that
/// have no worker.
package struct Seating: Sendable {
  /// A CPU of each seat.
  package let cpus: [Int]
  private let nodes: Int
  /// Each worker's seat, as a rule its own number.
  private var homes: [Int]
  private var avoided: Set<Int> = []

  init(_ placement: Placement) {
    let own = placement.workers.map(\.cpu)
    let free = placement.topology.nodes.flatMap(\.cores).filter { !$0.contains(where: own.contains) }
    cpus = own + (placement.isEmulated ? [] : free.compactMap(\.first))
    nodes = max(placement.nodes.count, 1)
    homes = Array(own.indices)
  }

  /// Seats that workers may have.
  package var available: [Int] { cpus.indices.filter { !avoided.contains($0) } }

  /// Each worker's seat in the k-th computation of something: in the first ones each time another, on another node where there
  /// is one, as far as there are so many.
  func seats(ofPass pass: Int, without suspects: Set<Int>) -> [Int] {
    let open = available.filter { !suspects.contains($0) }
    guard !open.isEmpty else { return homes }
    if pass == 0 && suspects.isEmpty { return homes }
    let stride = nodes == 1 ? 1 : (open.count + nodes - 1) / nodes
    let shift = pass * stride + (nodes == 1 ? 0 : pass / nodes)
    return homes.enumerated().map { worker, home in
      let place = open.firstIndex(of: home) ?? worker
      return open[(place + shift) % open.count]
    }
  }

  /// Takes a seat out of use, unless it is the last one.
  mutating func avoid(_ seat: Int) {
    guard !avoided.contains(seat), available.count > 1 else { return }
    avoided.insert(seat)
    for worker in homes.indices where homes[worker] == seat {
      let open = available
      homes[worker] = open.first { !homes.contains($0) } ?? open[worker % open.count]
    }
  }
}
