import Model
import Parallel
import Tensor

/// What this machine's cores do by themselves, in operations per second, all workers of all ranks at once: what steps are
/// measured against.
struct MachineRates {
  let team: WorkerTeam

  /// Multiply-adds that depend on nothing, which nothing is faster than.
  func multiplyAdds() -> Double {
    let rounds = 20_000_000
    return rate(MultiplyAddLoop.operations(rounds: rounds)) { worker in
      // Never true; so the loop is not left out.
      let sum = MultiplyAddLoop.run(rounds: rounds, 1 - 0x1p-20)
      precondition(sum != Float(-worker - 1), "a negative sum of positive numbers")
    }
  }

  /// Products of 480 × 256 × 256, the shape of an encoder's, by weights that are packed.
  func matrixProducts() -> Double {
    let (rows, size) = (480, 256)
    let own = each(operations: 2 * Double(rows * size * size), repeats: 400, scratch: 2 * rows * size + size * size) {
      let x = $0.matrix(rows: rows, columns: size)
      let w = PackedMatrix(inner: size, columns: size, in: &$0)
      let y = $0.matrix(rows: rows, columns: size)
      return { MatrixProduct.multiply(x, by: w, into: y) }
    }
    return team.ranks.communicator.gather(own * Double(team.count)).reduce(0, +)
  }

  /// Operations per second of each worker of this rank, who do the same at once.
  ///
  /// - Parameters:
  ///   - operations: of one call.
  ///   - scratch: floats that a worker takes.
  ///   - prepare: takes memory, which holds small normal numbers, and gives what is to be called.
  func each(
    operations: Double, repeats: Int, scratch: Int, _ prepare: @escaping (inout Scratch) -> () -> Void
  ) -> Double {
    let calls = (0..<team.count).map { worker in
      let memory = Buffer(count: scratch)
      RandomKey(seed: UInt64(worker)).fillUniform(memory.base, count: scratch, stream: 0, bound: 0.1)
      var stack = Scratch(memory.matrix(rows: 1, columns: scratch))
      return PreparedCalls(memory, prepare(&stack))
    }
    team.run { calls[$0].run(times: max(repeats / 10, 1)) }
    let start = ContinuousClock.now
    team.run { calls[$0].run(times: repeats) }
    return operations * Double(repeats) / (ContinuousClock.now - start).seconds
  }

  private func rate(_ operations: Double, _ body: @Sendable (_ worker: Int) -> Void) -> Double {
    let start = ContinuousClock.now
    team.run(body)
    let own = operations * Double(team.count) / (ContinuousClock.now - start).seconds
    return team.ranks.communicator.gather(own).reduce(0, +)
  }

  /// What a worker calls, and the memory that it works on.
  private final class PreparedCalls: @unchecked Sendable {
    // Proof of Sendable: only one worker calls it.

    private let memory: Buffer
    private let call: () -> Void

    init(_ memory: consuming Buffer, _ call: @escaping () -> Void) {
      self.memory = memory
      self.call = call
    }

    func run(times count: Int) {
      for _ in 0..<count { call() }
    }
  }
}
