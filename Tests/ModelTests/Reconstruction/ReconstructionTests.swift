import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct ReconstructionTests {
  /// From the plain vectors to alpha, beta and all unit latents, and back.
  struct Fixture {
    let c: ModelConfiguration
    let f: LayerFixture<Reconstruction>
    let prototypes: Prototypes
    let rows, d: [Reconstruction.Rows]
    let mixWeights: [Matrix]
    let unit: UnitLatents
    /// The loss's weights of each level and of the reconstructions a modality, and of the unit latents.
    let weights: [[Matrix]]
    let unitWeights: Matrix

    init(modalities M: Int, samples: Int) throws {
      c = tinyConfiguration(modalities: M)
      let c = c
      f = try LayerFixture { Reconstruction(c, in: &$0) }
      prototypes = try Prototypes(c, in: testArena)
      let n = samples * c.labels
      for m in 0..<M { prototypes.values[m].copy(from: try random(2 * c.labels, c.latentSize, seed: 20 + UInt64(m))) }
      rows = try f.layer.modalities.map { try Reconstruction.Rows($0, rows: n, in: testArena) }
      d = try f.layer.modalities.map { try Reconstruction.Rows($0, rows: n, in: testArena) }
      mixWeights = try (0..<M).map { _ in try zeros(n, 2) }
      unit = UnitLatents(
        live: try zeros(samples * c.liveRowsPerSample, c.latentSize),
        inverseLengths: try zeros(1, samples * c.liveRowsPerSample), modalities: M, labels: c.labels)
      for m in 0..<M {
        rows[m].level(.plain).copy(from: try random(n, c.hiddenSize, seed: 30 + UInt64(m)))
        for x in d[m].projections + d[m].decodings + d[m].fusions {
          x.input.fill(.nan)
          x.hidden.fill(.nan)
          x.output.fill(.nan)
        }
      }
      weights = try (0..<M).map { m in
        try (0..<4).map { try random(n, c.hiddenSize, seed: UInt64(100 + 10 * m + $0)) }
      }
      unitWeights = try random(unit.live.rows, c.latentSize, seed: 99)
    }

    func forward(training: Bool = true) {
      // In two parts, the first of which ends within a sample.
      for range in [0..<1, 1..<rows[0].range.upperBound] {
        f.layer.forward(
          rows, range, f.θ, prototypes: prototypes, training: training, allLatents: training, mixWeights: mixWeights,
          unit: unit)
      }
    }

    func loss() -> Double {
      forward()
      var sum = weightedSum(unit.live, unitWeights)
      for (x, w) in zip(rows, weights) {
        for level in Reconstruction.Level.allCases { sum += weightedSum(x.level(level), w[level.rawValue]) }
        sum += weightedSum(x.reconstructed, w[3])
      }
      return sum
    }

    func backward() throws {
      let dunit = try zeros(unitWeights.rows, unitWeights.columns)
      dunit.copy(from: unitWeights)
      let all = 0..<rows[0].range.upperBound
      for range in [0..<1, 1..<all.upperBound] {
        f.layer.backward(
          rows, d, range, f.θ, prototypes: prototypes, mixWeights: mixWeights, unit: unit, dunit: dunit,
          extra: { level, m, gradient in add(weights[m][level.rawValue].rows(range), to: gradient) },
          extraReconstructed: { m, gradient in add(weights[m][3].rows(range), to: gradient) })
      }
      f.bySample.values.fill(0)
      for (m, net) in f.layer.modalities.enumerated() {
        for r in all {
          let (own, gradient) = (d[m].rows(r..<r + 1), f.bySample[r / c.labels])
          for x in own.projections { net.project.addBiases(x, to: gradient) }
          for x in own.decodings { net.decode.addBiases(x, to: gradient) }
          for x in own.fusions { net.fuse.addBiases(x, to: gradient) }
        }
      }
      let sources = f.layer.modalities.enumerated().flatMap { m, net in
        net.project.weightSources(rows[m].projections, d[m].projections, perSample: c.labels)
          + net.decode.weightSources(rows[m].decodings, d[m].decodings, perSample: c.labels)
          + net.fuse.weightSources(rows[m].fusions, d[m].fusions, perSample: c.labels)
      }
      try f.gather(sources, samples: all.count / c.labels)
    }
  }

  @Test(arguments: [(1, 1), (2, 1), (3, 1), (3, 2), (4, 1)]) func gradients(_ modalities: Int, _ samples: Int) throws {
    let x = try Fixture(modalities: modalities, samples: samples)
    _ = x.loss()
    try x.backward()
    #expect(x.f.layout.parameters.count == 10 * modalities)
    var check = GradientCheck(tolerance: 2e-3, floor: 0.1)
    for m in 0..<modalities {
      check.compare("plain \(m)", x.rows[m].level(.plain), x.d[m].level(.plain), atMost: 40, loss: x.loss)
    }
    x.f.compare(&check, atMost: 20, loss: x.loss)
    #expect(check.passes, "\(check)")
  }

  /// In evaluation intrinsic vectors are decoded from the nearer prototypes; alpha and beta follow.
  @Test func evaluationDecodesTheNearerPrototype() throws {
    let x = try Fixture(modalities: 3, samples: 2)
    x.forward(training: false)
    for m in 0..<3 {
      for r in 0..<6 {
        let sign = x.mixWeights[m][r, 0] == 1 ? 0 : 1
        #expect(x.mixWeights[m][r, sign] == 1 && x.mixWeights[m][r, 1 - sign] == 0)
        let input = x.rows[m].decodingPrototypes.input
        let row = sign * x.c.labels + r % x.c.labels
        #expect(values(input.rows(r..<r + 1)) == values(x.prototypes.values[m].rows(row..<row + 1)))
      }
    }
    let (evaluated, trained) = (values(x.rows[1].level(.beta)), try Fixture(modalities: 3, samples: 2))
    trained.forward()
    #expect(values(trained.rows[1].level(.beta)) != evaluated)
  }

  /// The intrinsic vector stands at the modality's own place among the others' reconstructions; beta takes all alphas.
  @Test func fusionTakesItsInputsInOrder() throws {
    let x = try Fixture(modalities: 4, samples: 2)
    x.forward()
    let D = x.c.hiddenSize
    for m in 0..<4 {
      for k in 0..<4 {
        let columns = k * D..<(k + 1) * D
        let source = k == m ? x.rows[k].intrinsic : x.rows[k].reconstructed
        #expect(values(x.rows[m].fusing(.alpha).input.columns(columns)) == values(source))
        #expect(values(x.rows[m].fusing(.beta).input.columns(columns)) == values(x.rows[k].level(.alpha)))
      }
      #expect(values(x.rows[m].fusing(.alpha).output) == values(x.rows[m].level(.alpha)))
      #expect(values(x.rows[m].fusing(.beta).output) == values(x.rows[m].level(.beta)))
    }
  }

  @Test func fusionNamesAreTheReleasedCodes() {
    let names = ["text", "visual", "audio"]
    #expect(names.indices.map { Reconstruction.fusionName(names, $0) } == ["va2t", "ta2v", "tv2a"])
  }

  @Test func viewsOfSomeRows() throws {
    let x = try Fixture(modalities: 2, samples: 3).rows[0]
    let some = x.rows(2..<4)
    #expect(some.level(.beta).rows == 2 && some.latent(.alpha).rows == 2 && some.intrinsic.rows == 2)
    #expect(some.fusing(.beta).output.rows == 2)
    #expect(some.level(.alpha).base == x.level(.alpha).row(2) && some.intrinsic.base == x.intrinsic.row(2))
  }
}
