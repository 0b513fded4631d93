import Foundation
import TestSupport
import Testing

@testable import Model
@testable import Tensor

/// The loss as the reference writes it, over all pairs at once, in double precision: value, and gradient through the
/// logits, d loss/d x = positives' part + softmax's part.
private struct DirectLoss {
  let value: Double
  /// d loss/d f of the live rows, row by row.
  let gradient: [Double]

  init(rows: [[Double]], classes: [Int32], live: Int, temperature: Double, anchors: ModelConfiguration.Anchors) {
    let present = rows.indices.filter { classes[$0] >= 0 }
    let f = present.map { rows[$0] }
    let k = present.map { classes[$0] }
    let n = anchors == .all ? f.count : live
    let P = f[0].count
    var sum = 0.0
    var gradient = [[Double]](repeating: [Double](repeating: 0, count: P), count: f.count)
    for i in 0..<n {
      let x = f.indices.map { j in (0..<P).reduce(0.0) { $0 + f[i][$1] * f[j][$1] } / temperature }
      let top = x.indices.filter { $0 != i }.map { x[$0] }.max() ?? 0
      let z = x.indices.reduce(0.0) { $1 == i ? $0 : $0 + exp(x[$1] - top) }
      let positives = f.indices.filter { $0 != i && k[$0] == k[i] }
      let count = Double(positives.count)
      if positives.isEmpty { continue }
      sum -= positives.reduce(0.0) { $0 + x[$1] - top - log(z) } / count
      for j in f.indices where j != i {
        let positive = k[j] == k[i] ? 1 / count : 0
        let slope = (exp(x[j] - top) / z - positive) / Double(n) / temperature
        for p in 0..<P {
          gradient[i][p] += slope * f[j][p]
          gradient[j][p] += slope * f[i][p]
        }
      }
    }
    value = sum / Double(n)
    self.gradient = gradient.prefix(live).flatMap { $0 }
  }
}

struct ContrastiveLossTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var live = 18
    var queue = 0
    /// Every this many queue rows one is empty; 0 for none, 1 for all.
    var emptyEvery = 0
    /// Classes in use; rows of class 0 are one live row only.
    var classes = 6
    var latent = 5
    var temperature: Float = 0.07
    var testDescription: String { "\(live) live, \(queue) queue rows, empty every \(emptyEvery), P \(latent)" }
  }

  static let cases = [
    Case(), Case(live: 2, classes: 2), Case(queue: 40), Case(queue: 40, emptyEvery: 3), Case(queue: 7, emptyEvery: 1),
    Case(live: 1, queue: 3, classes: 1), Case(live: 300, queue: 400, emptyEvery: 5, classes: 18, latent: 16),
    Case(live: 600, classes: 36, latent: 17), Case(live: 260, queue: 520, classes: 12, temperature: 0.5),
    Case(live: 9, queue: 700, emptyEvery: 2, classes: 4),
  ]

  struct Fixture {
    let loss: ContrastiveLoss
    let live: Matrix
    let queue: EmbeddingQueue
    let workers: Int
    let scratch: Matrix
    private let direct: () -> DirectLoss
    fileprivate var expected: DirectLoss { direct() }

    init(_ x: Case, anchors: ModelConfiguration.Anchors, workers: Int) throws {
      var c = tinyConfiguration(modalities: 3, queue: x.queue)
      c.labels = 6
      c.latentSize = x.latent
      c.anchors = anchors
      c.temperature = x.temperature
      let live = try random(x.live, x.latent, seed: 1)
      UnitLength.forward(live, into: live, inverseLength: try testArena.allocate(x.live))
      let classes = try testArena.allocate(of: Int32.self, count: x.live)
      // Class 0 has the first row alone: an anchor without positives.
      for i in 0..<x.live { classes[i] = i == 0 || x.classes == 1 ? 0 : Int32(1 + i * 5 % (x.classes - 1)) }
      let queue = try EmbeddingQueue(c, in: testArena)
      let unit = try random(x.queue, x.latent, seed: 2)
      UnitLength.forward(unit, into: unit, inverseLength: try testArena.allocate(x.queue))
      queue.rows.copy(from: unit)
      for i in 0..<x.queue {
        let isEmpty = x.emptyEvery > 0 && i % x.emptyEvery == 0
        queue.classes[i] = isEmpty ? -1 : x.classes == 1 ? 0 : Int32(1 + i * 7 % (x.classes - 1))
      }
      self.live = live
      self.queue = queue
      self.workers = workers
      loss = try ContrastiveLoss(c, live: live, liveClasses: classes, queue: queue, workers: workers, in: testArena)
      scratch = try zeros(1, ContrastiveLoss.scratchCapacity)
      direct = {
        let rows = [live, queue.rows].flatMap { m in
          (0..<m.rows).map { i in values(m.rows(i..<i + 1)).map(Double.init) }
        }
        let all = (0..<x.live).map { classes[$0] } + (0..<x.queue).map { queue.classes[$0] }
        return DirectLoss(
          rows: rows, classes: all, live: x.live, temperature: Double(x.temperature), anchors: anchors)
      }
    }

    /// The phases of a step, worker after worker; the gradient in as many parts as there are workers would have shards.
    func run(weight: Float = 1, parts: Int = 1) throws -> (value: Double, gradient: [Float]) {
      for w in 0..<workers { loss.pack(part: w, parts: workers) }
      for w in 0..<workers {
        loss.addStatistics(worker: w, workers: workers, scratch: scratch)
        loss.sumClasses(worker: w, workers: workers)
      }
      for w in 0..<workers { loss.finishStatistics(worker: w, workers: workers) }
      let d = try zeros(live.rows, live.columns)
      d.fill(.nan)
      for part in 0..<parts {
        let own = live.rows * part / parts..<live.rows * (part + 1) / parts
        loss.backward(own, weight: weight, worker: part % workers, scratch: scratch, into: d.rows(own))
      }
      return (loss.value, values(d))
    }
  }

  @Test(arguments: cases, ModelConfiguration.Anchors.allCases)
  func valueAndGradient(_ x: Case, _ anchors: ModelConfiguration.Anchors) throws {
    let f = try Fixture(x, anchors: anchors, workers: 2)
    let (value, gradient) = try f.run()
    let expected = f.expected
    // Sums of e^(x − 1/τ) in float32: relative rounding of a few 1e-7.
    #expect(abs(value - expected.value) <= 2e-6 * max(abs(expected.value), 1))
    if expected.gradient.contains(where: { $0 != 0 }) {
      #expect(relativeDifference(gradient, expected.gradient) < 2e-5)
    } else {
      #expect(gradient.allSatisfy { abs($0) < 1e-6 })
    }
  }

  /// The formula that the others are compared with is right itself.
  @Test(arguments: ModelConfiguration.Anchors.allCases)
  func directGradientAgainstFiniteDifferences(_ anchors: ModelConfiguration.Anchors) throws {
    var rows = try [random(12, 4, seed: 1)].flatMap { m in
      (0..<12).map { i in values(m.rows(i..<i + 1)).map(Double.init) }
    }
    let classes: [Int32] = [0, 1, 2, 1, 2, 3, 1, 2, -1, 3, 2, -1]
    func direct() -> DirectLoss {
      DirectLoss(rows: rows, classes: classes, live: 7, temperature: 0.5, anchors: anchors)
    }
    let gradient = direct().gradient
    for i in 0..<7 {
      for p in 0..<4 {
        let value = rows[i][p]
        rows[i][p] = value + 1e-5
        let above = direct().value
        rows[i][p] = value - 1e-5
        let below = direct().value
        rows[i][p] = value
        #expect(abs((above - below) / 2e-5 - gradient[i * 4 + p]) < 1e-7)
      }
    }
  }

  @Test(arguments: [cases[3], cases[6], cases[9]], ModelConfiguration.Anchors.allCases)
  func equalBitsForAnyNumberOfWorkers(_ x: Case, _ anchors: ModelConfiguration.Anchors) throws {
    let parts = 3
    let one = try Fixture(x, anchors: anchors, workers: 1).run(parts: parts)
    for workers in [2, 3, 5, 16] {
      let more = try Fixture(x, anchors: anchors, workers: workers).run(parts: parts)
      #expect(more.value.bitPattern == one.value.bitPattern)
      #expect(bits(more.gradient) == bits(one.gradient))
    }
  }

  @Test func weightScalesTheGradient() throws {
    let f = try Fixture(Self.cases[3], anchors: .all, workers: 1)
    let (whole, half) = (try f.run(), try f.run(weight: 0.5))
    #expect(relativeDifference(half.gradient, whole.gradient.map { Double($0) / 2 }) < 1e-6)
    #expect(whole.value == half.value)
  }

  /// What lies in a row that is empty, however large, changes nothing.
  @Test(arguments: ModelConfiguration.Anchors.allCases) func emptyRowsTakeNoPart(_ anchors: ModelConfiguration.Anchors)
    throws
  {
    let f = try Fixture(Self.cases[3], anchors: anchors, workers: 1)
    let before = try f.run()
    for i in 0..<f.queue.capacity where f.queue.classes[i] < 0 { f.queue.rows.rows(i..<i + 1).fill(50) }
    let after = try f.run()
    #expect(before.value == after.value && bits(before.gradient) == bits(after.gradient))
  }

  @Test func noPositivesAtAll() throws {
    let f = try Fixture(Case(live: 1, queue: 5, emptyEvery: 1, classes: 3), anchors: .all, workers: 1)
    let (value, gradient) = try f.run()
    #expect(value == 0 && gradient.allSatisfy { $0 == 0 })
  }
}
