import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct UnitLatentsTests {
  func make(samples n: Int, modalities M: Int, labels C: Int, latent P: Int) throws -> UnitLatents {
    UnitLatents(
      live: try zeros(n * 3 * M * C, P), inverseLengths: try zeros(1, n * 3 * M * C), modalities: M, labels: C)
  }

  /// The reference stacks plain, alpha, beta of all modalities: row ((b 3 + level) M + m) C + c.
  @Test(arguments: [(1, 1, 1, 3), (2, 3, 2, 4), (3, 2, 5, 17)])
  func orderAndGradients(_ n: Int, _ M: Int, _ C: Int, _ P: Int) throws {
    let unit = try make(samples: n, modalities: M, labels: C, latent: P)
    let weights = try random(unit.live.rows, P, seed: 9)
    var check = GradientCheck(tolerance: 1e-3)
    for (k, level) in Reconstruction.Level.allCases.enumerated() {
      for m in 0..<M {
        let latent = try random(n * C, P, seed: UInt64(3 * m + k + 1))
        unit.normalize(latent, rows: 0..<n * C, modality: m, level: level)
        for b in 0..<n {
          for c in 0..<C {
            let row = ((b * 3 + k) * M + m) * C + c
            let length = (0..<P).reduce(0.0) { $0 + Double(latent[b * C + c, $1]) * Double(latent[b * C + c, $1]) }
            let expected = (0..<P).map { Double(latent[b * C + c, $0]) / length.squareRoot() }
            #expect(relativeDifference(values(unit.live.rows(row..<row + 1)), expected) < 1e-6)
          }
        }
        let dlatent = try zeros(n * C, P)
        dlatent.fill(.nan)
        unit.backward(weights, rows: 0..<n * C, modality: m, level: level, into: dlatent)
        check.compare("latent", latent, dlatent) {
          unit.normalize(latent, rows: 0..<n * C, modality: m, level: level)
          return weightedSum(unit.live, weights)
        }
      }
    }
    #expect(check.passes, "\(check)")
  }

  /// Any stretch of rows goes where the whole puts them.
  @Test(arguments: [0..<6, 1..<2, 2..<5, 4..<4]) func stretches(_ rows: Range<Int>) throws {
    let (some, whole) = try (
      make(samples: 2, modalities: 2, labels: 3, latent: 4), make(samples: 2, modalities: 2, labels: 3, latent: 4)
    )
    let latent = try random(6, 4, seed: 1)
    whole.normalize(latent, rows: 0..<6, modality: 1, level: .alpha)
    some.normalize(latent.rows(rows), rows: rows, modality: 1, level: .alpha)
    var covered: [Int] = []
    some.forEachStretch(of: rows, modality: 1, level: .alpha) { own, live, first in
      for (k, i) in live.enumerated() {
        #expect(values(some.live.rows(i..<i + 1)) == values(whole.live.rows(i..<i + 1)))
        covered.append(rows.lowerBound + own.lowerBound + k)
        #expect(covered[covered.count - 1] % 3 == first + k)
      }
    }
    #expect(covered == Array(rows))
  }

  /// What comes through the prototypes' weights is added to the plain rows of one modality and to no others.
  @Test func mixGradientReachesItsOwnRows() throws {
    let c = tinyConfiguration()
    let prototypes = try Prototypes(c, in: testArena)
    prototypes.values[1].copy(from: try random(2 * c.labels, c.latentSize, seed: 1))
    let unit = try make(samples: 2, modalities: 3, labels: c.labels, latent: c.latentSize)
    unit.normalize(try random(2 * c.labels, c.latentSize, seed: 2), rows: 0..<2 * c.labels, modality: 1, level: .plain)
    let (weights, mixed) = (try zeros(2 * c.labels, 2), try zeros(2 * c.labels, c.latentSize))
    let rows = 0..<2 * c.labels
    unit.mix(prototypes, rows: rows, modality: 1, training: true, weights: weights, into: mixed)
    let (dmixed, dunit) = (try random(2 * c.labels, c.latentSize, seed: 3), try zeros(unit.live.rows, c.latentSize))
    unit.addMixGradient(dmixed, prototypes, rows: rows, modality: 1, weights: weights, to: dunit)
    let expected = try zeros(2 * c.labels, c.latentSize)
    for s in 0..<2 {
      let own = s * c.labels..<(s + 1) * c.labels
      prototypes.backward(
        dmixed.rows(own), firstLabel: 0, modality: 1, weights: weights.rows(own), addingTo: expected.rows(own))
    }
    for row in 0..<dunit.rows {
      let (b, level, m, label) = (row / 27, row / 9 % 3, row / 3 % 3, row % 3)
      let wanted = level == 0 && m == 1 ? values(expected.rows(b * 3 + label..<b * 3 + label + 1)) : [0, 0, 0, 0]
      #expect(values(dunit.rows(row..<row + 1)) == wanted)
    }
  }
}
