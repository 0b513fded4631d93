import Tensor

/// Deals tasks of known costs to workers: the most expensive first, each to whoever has the least so far.
///
/// Refilled for each batch, as costs follow its lengths; nothing is allocated then. Who gets what changes no result.
package final class Deal: @unchecked Sendable {
  // Proof of Sendable: one thread fills and deals it between steps; workers only read.

  package let workers: Int
  /// Tasks that there is room for.
  package let capacity: Int
  package private(set) var count = 0
  private let costs: UnsafeMutablePointer<Int>
  /// Tasks, the cheapest first.
  private let order: UnsafeMutablePointer<Int>
  private let owners: UnsafeMutablePointer<Int>
  /// Workers as a heap, the one with the least on top, and what each has.
  private let heap: UnsafeMutablePointer<Int>
  private let loads: UnsafeMutablePointer<Int>
  /// Tasks by worker, and where each worker's begin.
  private let dealt: UnsafeMutablePointer<Int>
  private let starts: UnsafeMutablePointer<Int>

  package init(workers: Int, capacity: Int) {
    precondition(workers > 0 && capacity >= 0, "\(capacity) tasks for \(workers) workers")
    (self.workers, self.capacity) = (workers, capacity)
    func zeros(_ count: Int) -> UnsafeMutablePointer<Int> {
      let values = UnsafeMutablePointer<Int>.allocate(capacity: max(count, 1))
      values.initialize(repeating: 0, count: max(count, 1))
      return values
    }
    (costs, order, owners, dealt) = (zeros(capacity), zeros(capacity), zeros(capacity), zeros(capacity))
    (heap, loads, starts) = (zeros(workers), zeros(workers), zeros(workers + 1))
  }

  deinit {
    for values in [costs, order, owners, dealt, heap, loads, starts] { values.deallocate() }
  }

  package func removeAll() { count = 0 }

  /// Adds the next task, numbered from 0.
  package func add(cost: Int) {
    precondition(count < capacity && cost >= 0, "task \(count) of \(capacity), cost \(cost)")
    costs[count] = cost
    count += 1
  }

  /// Deals all tasks that were added.
  ///
  /// - Returns: the cost of the worker who has most.
  @discardableResult package func deal() -> Int {
    for task in 0..<count { order[task] = task }
    let costs = costs
    // The most expensive last; of equal cost, the first task last.
    sort(order, count) { (costs[$0], $1) < (costs[$1], $0) }
    let loads = loads
    loads.update(repeating: 0, count: workers)
    for worker in 0..<workers { heap[worker] = worker }
    starts.update(repeating: 0, count: workers + 1)
    for i in (0..<count).reversed() {
      let (task, worker) = (order[i], heap[0])
      owners[task] = worker
      starts[worker + 1] += 1
      loads[worker] += costs[task]
      sink(heap, workers, from: 0) { (loads[$0], $0) > (loads[$1], $1) }
    }
    for worker in 0..<workers { starts[worker + 1] += starts[worker] }
    // Each worker's end moves from its start, then all are moved back by one.
    for task in 0..<count {
      dealt[starts[owners[task]]] = task
      starts[owners[task]] += 1
    }
    for worker in (0..<workers).reversed() { starts[worker + 1] = starts[worker] }
    starts[0] = 0
    return (0..<workers).reduce(0) { max($0, loads[$1]) }
  }

  /// A worker's tasks, in rising order.
  package func tasks(ofWorker worker: Int) -> UnsafeBufferPointer<Int> {
    UnsafeBufferPointer(start: dealt + starts[worker], count: starts[worker + 1] - starts[worker])
  }

  // The library's sort takes memory.

  /// Sorts so that no value goes before one that follows, by a heap.
  private func sort(
    _ values: UnsafeMutablePointer<Int>, _ count: Int, _ precedes: (_ a: Int, _ b: Int) -> Bool
  ) {
    for i in (0..<count / 2).reversed() { sink(values, count, from: i, precedes) }
    for end in (0..<count).reversed() {
      (values[0], values[end]) = (values[end], values[0])
      sink(values, end, from: 0, precedes)
    }
  }

  /// Lets a value sink while it precedes one below it.
  @inline(__always) private func sink(
    _ values: UnsafeMutablePointer<Int>, _ count: Int, from start: Int, _ precedes: (_ a: Int, _ b: Int) -> Bool
  ) {
    var i = start
    while 2 * i + 1 < count {
      var child = 2 * i + 1
      if child + 1 < count, precedes(values[child], values[child + 1]) { child += 1 }
      if !precedes(values[i], values[child]) { return }
      (values[i], values[child]) = (values[child], values[i])
      i = child
    }
  }
}
