import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model

extension Teams {
  struct AuditorTests {
    /// The digest after some steps of ranks that are threads.
    func digest(
      workers: [Int], _ train: @escaping @Sendable (TrainingFixture, Auditor) throws -> Void
    ) throws -> String {
      var momentum = tinyConfiguration(queue: 500)
      momentum.queueKeys = .momentum
      let c = momentum
      return try ThreadRanks.run(workers.count) { communicator in
        let f = try TrainingFixture(
          c, batchSize: 10, workers: workers[communicator.rank], samples: 31, averageDecay: 0.9,
          communicator: communicator)
        try train(f, Auditor(f.training))
        f.training.gatherMoments()
        return communicator.rank == 0 ? f.state.digest() : ""
      }[0]
    }

    static let layouts = [[1], [3], [1, 1], [2, 2], [1, 1, 1], [2, 1]]

    @Test(arguments: layouts) func auditedStepsAreTheSame(_ workers: [Int]) throws {
      let right = try digest(workers: workers) { f, _ in f.train(steps: 4) }
      let audited = try digest(workers: workers) { f, auditor in
        #expect(auditor.steps.count == (workers.count > 1 && Set(workers).count == 1 ? 2 : 1))
        for k in 0..<4 {
          f.fill(from: k * 10)
          let (result, faults) = try auditor.train(on: f.batch)
          #expect(result.isFinite && faults.isEmpty && auditor.copiesAreEqual())
        }
      }
      #expect(audited == right)
    }

    /// Whole steps as the next rank takes them; then moments go home.
    @Test(arguments: [[1, 1], [2, 2], [1, 1, 1]]) func stepsOfTheNextRankAreTheSame(_ workers: [Int]) throws {
      let right = try digest(workers: workers) { f, _ in f.train(steps: 4) }
      let next = try digest(workers: workers) { f, auditor in
        for k in 0..<4 {
          f.fill(from: k * 10)
          let before = f.training.evaluate(f.batch).elements.map(\.bitPattern)
          #expect(auditor.steps[1].evaluate(f.batch).elements.map(\.bitPattern) == before)
          (k < 3 ? auditor.steps[1] : f.training).train(on: f.batch)
          if k == 2 { f.training.bringHomeMoments(shift: 1) }
        }
      }
      #expect(next == right)
    }

    /// The checkpoint that steps are repeated from is damaged or gone: an older one serves, or the steps can't be confirmed. No
    /// core is blamed for it.
    @Test(arguments: [1, 9]) func stepsAreRepeatedFromAnOlderCheckpoint(_ damaged: Int) throws {
      let directory = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(directory)
      let c = TrainerTests.settings(dataset)
      func run(_ options: Trainer.Options, _ output: RunDirectory, damages: Bool) throws -> Trainer.Result {
        let trainer = try TrainerTests.trainer(c, dataset, output, workers: 2, options: options)
        let outcome = try trainer.run { progress in
          // A file that is still being written would keep the next checkpoint waiting.
          try? trainer.recorder?.wait()
          guard damages, case .step(let record) = progress, record.step == 5 else { return }
          let files = output.checkpoints.files()
          #expect(files.count == 3)
          for file in files.prefix(damaged) { #expect(truncate(file, 1000) == 0) }
        }
        guard case .finished(let result) = outcome else { throw TrainerTests.Stopped() }
        return result
      }
      var options = Trainer.Options()
      let right = try run(options, RunDirectory(directory.file("plain")), damages: false)
      (options.interval, options.keep, options.audit) = (.steps(2), 3, .replay)
      let audited = try run(options, RunDirectory(directory.file("audited")), damages: true)
      #expect(audited.digest == right.digest && audited.audit?.faults == 0)
      // Two steps of the nine can't be repeated without a checkpoint.
      #expect(audited.audit?.steps == (damaged == 1 ? 9 : 7))
    }

    /// A core that computes wrongly.
    enum Wrongness: CaseIterable, CustomTestStringConvertible {
      /// In one computation only; the same each time; each time otherwise.
      case first, second, always, otherwise
      var testDescription: String { "\(self)" }

      func error(inComputation k: Int) -> UInt64 {
        switch self {
        case .first: k == 0 ? 1 : 0
        case .second: k == 1 ? 1 : 0
        case .always: 1
        case .otherwise: UInt64(k + 1)
        }
      }
    }

    struct Outcome: Sendable {
      var isSettled = false
      var isRight = false
      var faults: [Fault] = []
      var culprit: Int?
    }

    /// What becomes of a core that computes wrongly from the third stage on, where whatever is right is the same everywhere.
    func settle(workers: [Int], bad: (rank: Int, seat: Int), _ wrongness: Wrongness) throws -> [Outcome] {
      try ThreadRanks.run(workers.count) { communicator in
        let f = try TrainingFixture(
          tinyConfiguration(), batchSize: 10, workers: workers[communicator.rank], communicator: communicator)
        let (auditor, rank) = (try Auditor(f.training), communicator.rank)
        // Only the team's own seats: this machine may have more.
        for seat in f.training.team.seats.available where seat >= workers[rank] { f.training.team.avoid(seat: seat) }
        func right(_ rank: Int, _ worker: Int) -> [UInt64] { (0..<6).map { UInt64(100 * rank + 10 * worker + $0) } }
        var outcome = Outcome()
        do {
          let settled = try auditor.settle(step: 1, keepsOwn: true) { place, before in
            let isWrong = communicator.gather(place.seats.contains(bad.seat))[bad.rank]
            let error = isWrong ? wrongness.error(inComputation: before.count) << 32 : 0
            let role = (rank + place.shift) % workers.count
            let made = place.seats.enumerated().flatMap { worker, seat in
              right(role, worker).enumerated().map { stage, sum in
                // What follows from a wrong value is wrong for everyone.
                (rank, seat) == bad && stage == 2 || stage > 2 ? sum ^ error : sum
              }
            }
            let own = auditor.bringHome(made, shift: place.shift)
            return (0..<workers[rank]).map { Array(own[6 * $0..<6 * $0 + 6]) }
          }
          let last = try #require(settled?.computations.last)
          outcome.isSettled = true
          let kept = last.shift == 0 ? last : settled?.computations.last { $0.shift == 0 }
          outcome.isRight = kept?.sums == (0..<workers[rank]).map { right(rank, $0) }
          outcome.faults = auditor.faults(try #require(settled)) { _, place, _ in
            (1, "stage \(place)", nil)
          }
        } catch let error as Unsettled {
          outcome.culprit = error.culprit.map { $0.rank * 10 + $0.seat }
        }
        return outcome
      }
    }

    @Test(arguments: [[1], [2], [3], [1, 1], [1, 1, 1], [2, 2], [2, 1], [3, 3]], Wrongness.allCases)
    func theRightCoreIsNamed(_ workers: [Int], _ wrongness: Wrongness) throws {
      for rank in workers.indices {
        for seat in 0..<workers[rank] {
          let outcomes = try settle(workers: workers, bad: (rank, seat), wrongness)
          // What a rank's part can be computed on.
          let cores = Set(workers).count == 1 ? workers.reduce(0, +) : workers[rank]
          let first = outcomes[0]
          let name: Testing.Comment = "core \(rank).\(seat)"
          #expect(outcomes.allSatisfy { $0.isSettled == first.isSettled && $0.faults == first.faults }, name)
          #expect(first.faults.allSatisfy { $0.core?.rank == rank && $0.core?.seat == seat }, name)
          if first.isSettled {
            // One core alone is believed, if it only says the same twice.
            #expect(outcomes.allSatisfy(\.isRight) == !(cores == 1 && wrongness == .always), name)
            #expect(first.faults.isEmpty == (cores == 1 && wrongness == .always), name)
          } else {
            // Of two cores nothing tells which; a rank's only one can't be done without.
            #expect(wrongness == .always || wrongness == .otherwise, name)
            #expect(cores == 1 || cores == 2 || workers[rank] == 1, name)
            #expect(outcomes.allSatisfy { $0.culprit == (cores > 2 ? rank * 10 + seat : first.culprit) }, name)
          }
          if wrongness == .first || wrongness == .second { #expect(first.isSettled, name) }
          if workers[rank] > 1 && cores > 2 { #expect(first.isSettled, name) }
        }
      }
    }
  }
}
