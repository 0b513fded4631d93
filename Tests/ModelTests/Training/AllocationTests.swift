import CAllocations
import Parallel
import Testing

@testable import Model
@testable import Tensor

extension Teams {
  /// What docs/DETERMINISM.md and the planning of memory rest on: a step asks for no memory.
  @Suite(.enabled(if: carat_can_count_allocations() == 1)) struct AllocationTests {
    /// Allocations of `body`, on the workers and on the caller.
    private func allocations(_ team: WorkerTeam, _ body: () -> Void) -> (workers: Int, caller: Int) {
      func count(_ isOn: Int32) { team.run { _ in carat_count_allocations(isOn) } }
      count(1)
      let before = carat_allocations()
      body()
      let workers = carat_allocations() - before
      count(0)
      carat_count_allocations(1)
      let middle = carat_allocations()
      body()
      let caller = carat_allocations() - middle
      carat_count_allocations(0)
      return (workers, caller)
    }

    @Test func countsWhatIsAllocated() {
      let team = makeTeam(2)
      let found = allocations(team) { team.run { _ in _ = Array(repeating: 0, count: 1000).shuffled() } }
      #expect(found.workers >= 2)
    }

    @Test(arguments: [1, 3], [1, 2]) func aStepAllocatesNothing(workers: Int, microBatches: Int) throws {
      var c = tinyConfiguration()
      c.modalities[1].alignedSteps = 2
      c.queueKeys = .momentum
      let f = try TrainingFixture(c, batchSize: 9, workers: workers, microBatches: microBatches)
      for _ in 0..<2 { f.training.train(on: f.batch) }
      let found = allocations(f.training.team) { f.training.train(on: f.batch) }
      // Of the caller: the job's closure, and what a step tells.
      #expect(found.workers == 0 && found.caller < 20, "\(found)")
    }
  }
}
