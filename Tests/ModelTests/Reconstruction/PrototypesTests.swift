import Foundation
import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct PrototypesTests {
  func make(_ modality: Int = 1) throws -> (Prototypes, ModelConfiguration) {
    let c = tinyConfiguration()
    let p = try Prototypes(c, in: testArena)
    for m in c.modalities.indices {
      p.values[m].copy(from: try random(2 * c.labels, c.latentSize, seed: 20 + UInt64(m)))
    }
    return (p, c)
  }

  /// Rows of consecutive labels, from any of them on.
  @Test(arguments: [(0, 3), (1, 2), (2, 1)]) func gradients(_ first: Int, _ n: Int) throws {
    let (p, c) = try make()
    let unit = try random(n, c.latentSize, seed: 1)
    let (weights, mixed) = (try zeros(n, 2), try zeros(n, c.latentSize))
    let dmixed = try random(n, c.latentSize, seed: 2)
    let loss = { () -> Double in
      p.mix(unit, firstLabel: first, modality: 1, training: true, weights: weights, into: mixed)
      return weightedSum(mixed, dmixed)
    }
    _ = loss()
    let before = try random(n, c.latentSize, seed: 3)
    let dunit = try zeros(n, c.latentSize)
    dunit.copy(from: before)
    p.backward(dmixed, firstLabel: first, modality: 1, weights: weights, addingTo: dunit)
    add(before, scale: -1, to: dunit)
    var check = GradientCheck(tolerance: 1e-3)
    check.compare("unit", unit, dunit, loss: loss)
    #expect(check.passes, "\(check)")
  }

  @Test func mixesBySoftmaxInTraining() throws {
    let (p, c) = try make()
    let unit = try random(c.labels, c.latentSize, seed: 1)
    let (weights, mixed) = (try zeros(unit.rows, 2), try zeros(unit.rows, c.latentSize))
    p.mix(unit, firstLabel: 0, modality: 1, training: true, weights: weights, into: mixed)
    for r in 0..<unit.rows {
      let prototypes = (0..<2).map { sign in (0..<c.latentSize).map { Double(p.row(1, sign, r % c.labels)[$0]) } }
      let e = prototypes.map { p in exp((0..<c.latentSize).reduce(0.0) { $0 + p[$1] * Double(unit[r, $1]) }) }
      let share = e[0] / (e[0] + e[1])
      #expect(abs(Double(weights[r, 0]) - share) < 1e-6 && abs(Double(weights[r, 1]) - (1 - share)) < 1e-6)
      let expected = (0..<c.latentSize).map { share * prototypes[0][$0] + (1 - share) * prototypes[1][$0] }
      #expect(relativeDifference(values(mixed.rows(r..<r + 1)), expected) < 1e-6)
    }
  }

  @Test func picksTheNearerOtherwise() throws {
    let (p, c) = try make()
    let unit = try zeros(c.labels, c.latentSize)
    // Label 0 lies along its positive prototype, label 1 along its negative one, label 2 is equally near to both.
    unit.rows(0..<1).copy(from: p.values[1].rows(0..<1))
    unit.rows(1..<2).copy(from: p.values[1].rows(c.labels + 1..<c.labels + 2))
    let (weights, mixed) = (try zeros(c.labels, 2), try zeros(c.labels, c.latentSize))
    p.mix(unit, firstLabel: 0, modality: 1, training: false, weights: weights, into: mixed)
    #expect(values(weights) == [1, 0, 0, 1, 0, 1])
    for (r, sign) in [(0, 0), (1, 1), (2, 1)] {
      #expect(values(mixed.rows(r..<r + 1)) == values(p.values[1].rows(sign * c.labels + r..<sign * c.labels + r + 1)))
    }
  }

  /// Sample by sample, in batch order; labels that are not 1 count as absent.
  @Test func movesInBatchOrder() throws {
    let (p, c) = try make()
    let labels = try zeros(5, c.labels)
    for (b, y) in [Float(1), 0, 1, 1, 0].enumerated() { labels[b, 2] = y }
    let unit = try random(5, c.latentSize, seed: 4)
    for (sign, samples) in [(0, [0, 2, 3]), (1, [1, 4])] {
      let expected = { (order: [Int]) in
        (0..<c.latentSize).map { i in
          order.reduce(Double(p.row(1, sign, 2)[i])) { 0.9 * $0 + 0.1 * Double(unit[$1, i]) }
        }
      }
      let (inOrder, reversed) = (expected(samples), expected(samples.reversed()))
      let others = values(p.values[0]) + values(p.values[2])
      p.update(modality: 1, sign: sign, label: 2, labels: labels, momentum: 0.9) { unit.row($0) }
      let own = (0..<c.latentSize).map { p.row(1, sign, 2)[$0] }
      #expect(relativeDifference(own, inOrder) < 1e-6)
      #expect(relativeDifference(own, reversed) > 1e-3)
      #expect(values(p.values[0]) + values(p.values[2]) == others)
    }
  }
}
