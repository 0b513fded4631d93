import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

/// Tests that start worker teams run one after the other, so that teams do not spin on one another's cores.
@Suite(.serialized) struct Teams {}

extension Teams {
  struct TrainingStepTests {
    /// Gradient of the total loss against finite differences of the loss, over a few elements of every tensor.
    ///
    /// The learning rate is 0, so a step changes only queue and prototypes, which are put back, and masks stay the same.
    @Test(arguments: [2, 3, 4], [false, true]) func gradients(_ modalities: Int, _ dropout: Bool) throws {
      try compareGradients(tinyConfiguration(modalities: modalities), dropout)
    }

    /// The same where all but the first modality are soft-aligned to the same number of steps, with masked padding.
    @Test(arguments: [3, 4]) func gradientsWithSoftAlignment(_ modalities: Int) throws {
      var c = tinyConfiguration(modalities: modalities)
      for m in 1..<modalities { c.modalities[m].alignedSteps = 2 }
      c.padding = .mask
      try compareGradients(c, true)
    }

    @Test func gradientsWithPositiveWeights() throws {
      var c = tinyConfiguration()
      c.positiveWeights = .list((0..<c.labels).map { 0.4 + 1.7 * Float($0) })
      try compareGradients(c, false)
      // They count.
      let (f, g) = (
        try TrainingFixture(c, batchSize: 4, workers: 1),
        try TrainingFixture(tinyConfiguration(), batchSize: 4, workers: 1)
      )
      let (weighted, plain) = (f.train(steps: 1)[0], g.train(steps: 1)[0])
      for (term, value) in plain.terms {
        let isEntropy = term.rawValue.hasSuffix("bce")
        #expect((weighted.terms[term] != value) == isEntropy, "\(term)")
      }
    }

    func compareGradients(_ configuration: ModelConfiguration, _ dropout: Bool) throws {
      var c = configuration
      let modalities = c.modalities.count
      c.prototypeMomentum = 1
      c.temperature = 0.5
      c.weights[.betaMSE] = 0.3
      c.weights[.plainBCE] = 1
      c.anchors = modalities == 3 ? .all : .batch
      let f = try TrainingFixture(c, batchSize: 4, workers: 1, learningRate: 0, deviation: 0.3)
      let queue = f.state.queue
      let (rows, classes, pointer) = (values(queue.rows), (0..<40).map { queue.classes[$0] }, queue.pointer)
      let loss = { () -> Double in
        for i in 0..<40 {
          queue.classes[i] = classes[i]
          for j in 0..<4 { queue.rows[i, j] = rows[i * 4 + j] }
        }
        queue.restore(pointer: pointer)
        f.state.step = 3
        return f.training.train(on: f.batch, dropout: dropout).loss
      }
      _ = loss()
      let gradient = Parameters(try zeros(1, f.state.model.trainedCount).base)
      gradient.origin.update(from: f.training.reduction.gradient.origin, count: f.state.model.trainedCount)
      // Terms are float32 sums: rounding of 1e-6 in a loss of 10 is 1e-4 in a derivative.
      var check = GradientCheck(tolerance: 5e-3, floor: 0.05)
      for p in f.state.model.trained {
        check.compare(p.name, f.state.parameters[p], gradient[p], atMost: 5, seed: UInt64(p.offset), loss: loss)
      }
      #expect(check.passes, "\(check)")
    }

    @Test func dropoutChangesTheStepAndItsMasksEveryStep() throws {
      func losses(_ dropout: Bool, from step: Int) throws -> Double {
        let f = try TrainingFixture(tinyConfiguration(), batchSize: 4, workers: 1, learningRate: 0)
        f.state.step = step
        return f.training.train(on: f.batch, dropout: dropout).loss
      }
      let (without, with) = (try losses(false, from: 0), try losses(true, from: 0))
      #expect(try losses(false, from: 1) == without)
      #expect(with != without)
      #expect(try losses(true, from: 1) != with)
      #expect(try losses(true, from: 0) == with)
    }

    /// The loss that a step names is the loss of its own forward pass: with a rate above 0 it falls on one batch.
    @Test func learns() throws {
      let f = try TrainingFixture(
        tinyConfiguration(queue: 0), batchSize: 6, workers: 2, learningRate: 3e-2, deviation: 0.1)
      let first = f.training.train(on: f.batch, dropout: false)
      var last = first
      for _ in 0..<19 { last = f.training.train(on: f.batch, dropout: false) }
      #expect(first.rate == 0 && f.state.step == 20)
      #expect(last.loss < 0.8 * first.loss, "\(first.loss) → \(last.loss)")
    }

    /// Prototypes and queue take the live rows of the step in batch order, and the pointer moves behind them.
    @Test(arguments: [1, 3]) func remembersInBatchOrder(_ workers: Int) throws {
      let c = tinyConfiguration(queue: 200)
      let f = try TrainingFixture(c, batchSize: 6, workers: workers)
      let before = f.state.prototypes.values.map { values($0).map(Double.init) }
      let pointer = f.state.queue.pointer
      f.training.train(on: f.batch)
      let (exchange, queue) = (f.training.exchange, f.state.queue)
      #expect(queue.pointer == (pointer + 162) % 200)
      for i in 0..<162 {
        let row = (pointer + i) % 200
        #expect(values(queue.rows.rows(row..<row + 1)) == values(exchange.live.rows(i..<i + 1)))
        let (m, label) = (i / 3 % 3, i % 3)
        let isPositive = f.batch.labels[i / 27, label] == 1
        #expect(queue.classes[row] == Int32(3 * (2 * m + (isPositive ? 0 : 1)) + label))
      }
      for m in 0..<3 {
        var expected = before[m]
        for b in 0..<6 {
          for label in 0..<3 {
            let row = (f.batch.labels[b, label] == 1 ? 0 : 3) + label
            for i in 0..<4 {
              let u = Double(exchange.live[(b * 9 + m) * 3 + label, i])
              expected[row * 4 + i] = 0.99 * expected[row * 4 + i] + 0.01 * u
            }
          }
        }
        #expect(relativeDifference(values(f.state.prototypes.values[m]), expected) < 1e-6)
      }
    }

    /// Scores in evaluation mode are per sample: neither the others of the batch nor the place in it matter.
    @Test func evaluatesASampleAnywhere() throws {
      let f = try TrainingFixture(tinyConfiguration(), batchSize: 6, workers: 2, samples: 17, deviation: 0.3)
      f.train(steps: 2)
      let before = f.state.digest()
      var reference: [[Float]] = []
      for sample in 0..<17 {
        f.batch.fill([sample], of: f.source)
        reference.append(values(f.training.evaluate(f.batch)))
      }
      #expect(Set(reference).count == 17 && reference.joined().allSatisfy { $0 > 0 && $0 < 1 })
      for samples in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [16, 16, 3], [8, 0, 9, 16, 2], [7, 3]] {
        f.batch.fill(samples, of: f.source)
        let scores = f.training.evaluate(f.batch)
        #expect((scores.rows, scores.columns) == (samples.count, 3))
        for (b, sample) in samples.enumerated() {
          let own = values(scores.rows(b..<b + 1))
          #expect(relativeDifference(own, reference[sample].map(Double.init)) < 1e-6)
        }
      }
      #expect(f.state.digest() == before, "evaluation changes nothing")
      f.batch.fill([Int](), of: f.source)
      #expect(f.training.evaluate(f.batch).rows == 0)
    }
  }
}
