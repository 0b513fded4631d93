import Tensor

/// The batches of a run's steps: which samples each has, and its shuffle.
final class EpochBatches {
  private let settings: RunConfiguration
  private let split: DatasetSplit
  private let step: TrainingStep
  private let batch: Batch
  /// The last epoch that was asked for, and the training split's samples in its order.
  private var epoch = 0
  private var order: [Int] = []

  init(_ settings: RunConfiguration, _ split: DatasetSplit, _ step: TrainingStep) {
    (self.settings, self.split, self.step) = (settings, split, step)
    batch = Batch(settings.model, capacity: settings.batchSize)
  }

  /// The batch of a step of an epoch, counted from 0, for the state as it is. Reading the next one's samples is begun.
  func fill(epoch: Int, step number: Int) -> Batch {
    if epoch != self.epoch { (self.epoch, order) = (epoch, sampleOrder(epoch: epoch)) }
    let B = settings.batchSize
    let (first, next) = (number * B, (number + 1) * B)
    batch.fill(order[first..<next], of: split)
    batch.shuffle.draw(seed: settings.seed, step: step.state.step)
    split.prepare(
      step.own(order[next..<min(next + B, order.count)]), done: step.own(order[max(0, first - B)..<first]))
    return batch
  }

  /// Calls `body` with the batches of steps from a place in the run on, one after the other, as long as it says so. Each time
  /// the state has to be that of one step more.
  func forEachStep(from start: Checkpoint.Position, count: Int, _ body: (_ k: Int, Batch) throws -> Bool) rethrows {
    let perEpoch = settings.stepsPerEpoch(trainingSamples: split.count)
    var (epoch, number) = (start.epoch, start.step)
    for k in 0..<count {
      if number == perEpoch { (epoch, number) = (epoch + 1, 0) }
      guard try body(k, fill(epoch: epoch, step: number)) else { return }
      number += 1
    }
  }

  private func sampleOrder(epoch: Int) -> [Int] {
    let key = RandomKey(seed: settings.seed).derived(RandomPurpose.sampleOrder.rawValue)
    let count = split.count
    let order = [Int32](unsafeUninitializedCapacity: count) { buffer, filled in
      if let base = buffer.baseAddress { key.fillPermutation(base, count: count, stream: UInt32(epoch)) }
      filled = count
    }
    return order.map(Int.init)
  }
}
