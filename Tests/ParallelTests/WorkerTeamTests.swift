import Dispatch
import Synchronization
import Testing

@testable import Parallel

/// Serialised: a team's workers all have to run at once, and the tests check the affinity of pool threads.
@Suite(.serialized) struct WorkerTeamTests {
  static func team(_ workers: Int) -> WorkerTeam { WorkerTeam(placement: Placement(.current(), workers: workers)) }

  @Test(arguments: [1, 2, 3, 7, 16])
  func everyWorkerRunsEveryJobOnce(workers: Int) {
    let team = Self.team(workers)
    #expect(team.count == workers)
    let ran = (0..<1000).map { _ in
      let sum = Atomic<Int>(0)
      team.run { worker in sum.wrappingAdd(1 << (2 * worker), ordering: .relaxed) }
      return sum.load(ordering: .relaxed)
    }
    let once = (0..<workers).reduce(0) { $0 + 1 << (2 * $1) }
    #expect(ran.allSatisfy { $0 == once })
  }

  @Test(arguments: [1, 2, 3, 7, 16])
  func barriersSeparatePhases(workers: Int) throws {
    let team = Self.team(workers)
    let arena = Arena(placement: .anywhere)
    let row = try arena.matrix(rows: 1, columns: workers)
    let errors = Atomic<Int>(0)
    for _ in 0..<20 {
      row.fill(0)
      team.run { worker in
        for phase in 1...100 {
          row[0, worker] = Float(phase)
          team.barrier()
          for other in 0..<workers where row[0, other] != Float(phase) { errors.wrappingAdd(1, ordering: .relaxed) }
          team.barrier()
        }
      }
    }
    #expect(errors.load(ordering: .relaxed) == 0)
  }

  @Test func callerSeesWhatWorkersWrote() throws {
    let team = Self.team(3)
    let arena = Arena(placement: .interleaved)
    let values = try arena.matrix(rows: 3, columns: 1000)
    var wrong = 0
    for job in 0..<500 {
      team.run { worker in values.rows(worker..<worker + 1).fill(Float(job)) }
      wrong += values.elements.count { $0 != Float(job) }
    }
    #expect(wrong == 0)
  }

  @Test func workersArePinned() {
    let placement = Placement(.current(), workers: 1)
    let held = Mutex<[Int]>([])
    WorkerTeam(placement: placement).run { _ in held.withLock { $0 = NUMA.threadCPUs() } }
    #expect(held.withLock(\.self) == placement.affinity(ofWorker: 0))
  }

  @Test func affinityIsPutBack() {
    for round in 0..<20 {
      do {
        let team = Self.team(1 + round % 3)
        team.run { _ in }
      }
      let pinned = Mutex<[[Int]]>([])
      DispatchQueue.concurrentPerform(iterations: 8) { _ in
        let cpus = NUMA.threadCPUs()
        pinned.withLock { $0.append(cpus) }
      }
      let group = DispatchGroup()
      for index in 0..<4 {
        DispatchQueue(label: "fresh.\(index)").async(group: group) {
          let cpus = NUMA.threadCPUs()
          pinned.withLock { $0.append(cpus) }
        }
      }
      group.wait()
      let all = NUMA.processCPUs()
      #expect(pinned.withLock { $0.allSatisfy { $0 == all } })
    }
  }

  @Test func hundredsOfTeamsComeAndGo() {
    let total = Atomic<Int>(0)
    for round in 0..<400 {
      Self.team(1 + round % 5).run { _ in total.wrappingAdd(1, ordering: .relaxed) }
    }
    #expect(total.load(ordering: .relaxed) == 400 * 3)
  }

  @Test func teamsOfDifferentSizesWorkAtOnce() {
    let teams = [1, 2, 3, 5, 8].map(Self.team)
    let total = Atomic<Int>(0)
    let group = DispatchGroup()
    for team in teams {
      DispatchQueue(label: "caller").async(group: group) {
        for _ in 0..<100 {
          team.run { _ in
            team.barrier()
            total.wrappingAdd(1, ordering: .relaxed)
          }
        }
      }
    }
    group.wait()
    #expect(total.load(ordering: .relaxed) == 100 * 19)
  }

  @Test(.timeLimit(.minutes(5)), arguments: [300, WorkerTeam.maxCount])
  func teamsLargerThanDispatchsPoolRun(workers: Int) { expectToRun(Self.team(workers)) }

  @Test(.timeLimit(.minutes(5))) func emulatedTeamsMayBeLarger() {
    let workers = WorkerTeam.maxCount + 536
    expectToRun(WorkerTeam(placement: Placement(emulatedNodes: 16, workers: workers, on: .current())))
  }

  private func expectToRun(_ team: WorkerTeam) {
    let total = Atomic<Int>(0)
    for _ in 0..<2 {
      team.run { _ in
        team.barrier()
        total.wrappingAdd(1, ordering: .relaxed)
      }
    }
    #expect(total.load(ordering: .relaxed) == 2 * team.count)
  }
}
