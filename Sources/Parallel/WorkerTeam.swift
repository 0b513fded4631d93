import Dispatch
import Foundation
import Logging
import Synchronization
import Tensor

/// W workers that do one job after another together.
///
/// Each worker is a serial `DispatchQueue` with one long-running block. The block holds its thread to the worker's
/// CPU, waits for jobs (spins shortly, then sleeps), and puts the thread's affinity back before it returns the
/// thread to Dispatch. A job costs no Dispatch task. One worker is a thread of its own too, so that pinning and
/// memory placement are the same for one as for many.
package final class WorkerTeam: Sendable {
  package let placement: Placement
  /// The ranks of which this team's process is one.
  package let ranks: Ranks
  private let shared: Shared
  private let blocks = DispatchGroup()
  private let seating: Mutex<Seating>

  /// The largest team.
  package static let maxCount = classes.count * workersPerClass
  /// The largest one of an emulated machine, whose workers are threads of their own: they work one after the other.
  package static let maxEmulatedCount = 4096

  /// Starts the workers, at most `maxCount`, and returns when all of them run. Of several ranks, each starts a team.
  package init(placement: Placement, communicator: any Communicator = SoloCommunicator()) {
    let limit = placement.isEmulated ? Self.maxEmulatedCount : Self.maxCount
    precondition(placement.count <= limit, "\(placement.count) workers in a team, at most \(limit)")
    self.placement = placement
    ranks = Ranks(communicator, groups: placement.groups.map(\.count))
    seating = Mutex(Seating(placement))
    let shared = Shared(placement)
    self.shared = shared
    for worker in 0..<placement.count {
      // The block holds what the workers share and not the team: the team's end is what stops it.
      if placement.isEmulated {
        blocks.enter()
        Thread.detachNewThread { [blocks] in
          shared.serve(worker)
          blocks.leave()
        }
      } else {
        let queue = DispatchQueue(label: "carat.worker.\(worker)", qos: Self.classes[worker / Self.workersPerClass])
        queue.async(group: blocks) { shared.serve(worker) }
      }
    }
    run { [ranks] worker in ProductFault.setCore(ranks.number(ofWorker: worker)) }
  }

  /// The team of a process that has the machine for itself.
  ///
  /// - Parameter workers: nil for one a physical core, no more than the process is granted.
  package static func alone(workers: Int?) -> WorkerTeam {
    let topology = Topology.current()
    return WorkerTeam(
      placement: Placement(topology, workers: workers ?? topology.defaultWorkers(limit: ProcessorLimit.current())))
  }

  deinit {
    shared.stop()
    blocks.wait()
  }

  /// Number of this process's workers, W.
  package var count: Int { placement.count }

  /// Runs `body` with every worker's index 0..<`count`, each on its worker, and returns when all are done.
  ///
  /// The caller sleeps meanwhile. One job at a time: a second caller, or a body that runs a job on its own team,
  /// is a bug that stops the program. The body may be a closure over the caller's variables: it has returned on
  /// every worker before this does. Costs the caller one allocation of a few bytes, the workers none.
  package func run(_ body: @Sendable (Int) -> Void) {
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: Job(body: body)) { shared.run($0, workers: count) }
    }
  }

  /// Inside a body: waits until every worker is here. Every worker has to call it equally often.
  package func barrier() { shared.barrier.arrive() }

  // MARK: Seats

  /// The seats of a team: those of the workers, then of cores that have none.
  package var seats: Seating { seating.withLock { $0 } }

  /// Moves all workers to the seats that they have in the k-th computation of something, 0 for their usual ones.
  ///
  /// - Parameter suspects: seats that have no worker then.
  /// - Returns: each worker's seat.
  @discardableResult package func move(toPass pass: Int, without suspects: Set<Int> = []) -> [Int] {
    let (seating, placement) = (seats, placement)
    let places = seating.seats(ofPass: pass, without: suspects)
    let isHeld = !placement.isEmulated && !placement.isOversubscribed
    run { [ranks] worker in
      let seat = places[worker]
      ProductFault.setCore(seat < placement.count ? ranks.number(ofWorker: seat) : nil)
      // Where that fails, the same is computed where the kernel likes.
      if isHeld { try? NUMA.setThreadCPUs([seating.cpus[seat]]) }
    }
    return places
  }

  /// Keeps workers off a seat from now on: its worker moves to a core that has none, or shares another's.
  package func avoid(seat: Int) {
    seating.withLock { $0.avoid(seat) }
    move(toPass: 0)
  }

  /// Dispatch runs at most 255 blocks of a class of service at once, and blocks that wait for one another must all
  /// run. On Linux the classes differ in nothing else, so large teams use several, each nearly whole; `userInteractive` is not
  /// one of its own there.
  private static let classes: [DispatchQoS] = [.default, .userInitiated, .utility, .background]
  private static let workersPerClass = 250
}

/// In a structure, because a bare closure behind a pointer would be wrapped in another.
private struct Job {
  let body: @Sendable (Int) -> Void
}

/// What a team's workers and its caller share.
private final class Shared: Sendable {
  let barrier: Barrier
  private let placement: Placement
  private let spins: Int
  /// The address of the present generation's job, in its caller's frame; 0 tells the workers to end. Written
  /// before `started` advances and read after, so its own order does not matter.
  private let job = Atomic<UInt>(0)
  private let isBusy = Atomic<Bool>(false)
  private let started = Generation()
  private let remaining = PaddedAtomic()
  private let finished = Generation()

  init(_ placement: Placement) {
    self.placement = placement
    spins = placement.isOversubscribed ? Barrier.hastySpins : Barrier.patientSpins
    barrier = Barrier(count: placement.count, spins: spins)
  }

  // MARK: The caller's side

  func run(_ next: UnsafePointer<Job>, workers: Int) {
    let wasBusy = isBusy.exchange(true, ordering: .acquiring)
    precondition(!wasBusy, "a team of \(workers) workers was given a job while it ran another")
    let before = finished.current
    remaining.value.store(workers, ordering: .relaxed)
    job.store(UInt(bitPattern: next), ordering: .relaxed)
    started.advance()
    // Asleep at once: its core is a worker's.
    finished.wait(past: before, spins: 0)
    isBusy.store(false, ordering: .releasing)
  }

  func stop() {
    job.store(0, ordering: .relaxed)
    started.advance()
  }

  // MARK: A worker's side

  func serve(_ worker: Int) {
    let isHeld = hold(worker)
    defer { if isHeld { release(worker) } }
    let environment = FloatingPointEnvironment.useDefault()
    defer { environment.restore() }
    var generation = 0
    while true {
      started.wait(past: generation, spins: spins)
      generation += 1
      guard let next = UnsafePointer<Job>(bitPattern: job.load(ordering: .relaxed)) else { return }
      perform(next, worker)
      // Releases this worker's writes to the last one, whose advance releases them all to the caller.
      if remaining.value.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 { finished.advance() }
    }
  }

  /// Not inlined, so that the reference to the job, which lies in the caller's frame, is gone when it returns.
  @inline(never) private func perform(_ job: UnsafePointer<Job>, _ worker: Int) { job.pointee.body(worker) }

  private func hold(_ worker: Int) -> Bool {
    do {
      try NUMA.setThreadCPUs(placement.affinity(ofWorker: worker))
      return true
    } catch {
      if worker == 0 { Logger(label: "carat.team").warning("workers are not pinned: \(error)") }
      return false
    }
  }

  private func release(_ worker: Int) {
    // The process's CPUs, not what this thread had before: it may have been made by a pinned one.
    do {
      try NUMA.setThreadCPUs(NUMA.processCPUs())
    } catch {
      Logger(label: "carat.team").warning("worker \(worker)'s thread stays pinned: \(error)")
    }
  }
}
