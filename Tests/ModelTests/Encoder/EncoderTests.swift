import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct EncoderTests {
  /// A whole batch, dealt to some workers, who work one after the other.
  struct Fixture {
    let c: ModelConfiguration
    let model: CARATModel
    let θ: Parameters
    let part: BatchPart
    let weightGradients: WeightGradients
    let workers: Int
    let scratch: Scratch
    let dropouts: DropoutSites
    let source: RandomSource
    let batch: Batch

    init(
      _ configuration: ModelConfiguration = tinyConfiguration(), samples: Int, workers: Int = 1, dropout: Float,
      ragged: Bool = true
    ) throws {
      c = configuration
      model = CARATModel(c)
      self.workers = workers
      θ = try packable(model.layout, random(1, model.layout.count, seed: 3, deviation: 0.5))
      let exchange = try Exchange(c, batchSize: samples, in: testArena)
      part = try BatchPart(model, samples: 0..<samples, workers: workers, exchange: exchange, in: testArena)
      let arenas = (0..<workers).map { _ in testArena }
      weightGradients = try WeightGradients(
        model, samples: 0..<samples, tree: ReductionTree(leaves: samples), sources: part.microBatches[0].weightSources,
        gradients: part.gradients, segments: [0..<model.trainedCount], workers: arenas[...], in: testArena)
      scratch = try ModelTests.scratch(model.scratchSize(batchSize: samples))
      dropouts = DropoutSites(rate: dropout, seed: 9, step: 2)
      source = try RandomSource(c, count: samples, ragged: ragged)
      batch = Batch(c, capacity: samples)
      batch.fill(0..<samples, of: source)
      part.begin(batch)
      weightGradients.deal()
    }

    /// The weight of each plain element in the loss: a function of modality, sample and element.
    func weights(_ m: Int) throws -> Matrix {
      try random(64, c.hiddenSize, seed: 70 + UInt64(m)).rows(0..<part.count * c.labels)
    }

    var own: MicroBatch { part.microBatches[0] }
    func plain(_ m: Int) -> Matrix { part.heads.plain(m) }

    func forward(_ m: Int) {
      θ.pack(model.layout)
      for worker in 0..<workers {
        let pass = own.pass(m, worker: worker, θ, dropouts, scratch: scratch)
        // Normalised in place by forward, so taken again.
        for run in pass.runs { own.encoders[m].load(batch, run: run, modality: m) }
        model.encoders[m].forward(pass, into: part.heads.plain(m))
      }
    }

    /// Only this encoder's gradients mean anything.
    func backward(_ m: Int) throws -> Parameters {
      part.heads.plainGradient(m).copy(from: try weights(m))
      for turn in model.turns where turn.encoders.contains(m) {
        for worker in 0..<workers {
          let pass = own.pass(m, worker: worker, θ, dropouts, scratch: scratch)
          model.encoders[m].backward(
            pass, part.heads.plainGradient(m), layers: turn.layers, into: part.gradients)
        }
      }
      for worker in 0..<workers { weightGradients.compute(segment: 0, worker: worker, scratch: scratch) }
      return Parameters(weightGradients.nodes[0].base)
    }

    /// An encoder's parameters.
    func parameters(_ m: Int) -> [Parameter] { model.trained.filter { model.segments[m].contains($0.offset) } }
  }

  @Test(arguments: [(1, 1), (3, 1), (3, 3), (6, 2)], [Float(0), 0.3])
  func gradientsThroughTheTree(_ sizes: (Int, Int), _ dropout: Float) throws {
    try compareGradients(Fixture(samples: sizes.0, workers: sizes.1, dropout: dropout))
  }

  /// The same behind a soft alignment, of one modality to as many steps as it has.
  @Test(arguments: [(1, 1), (5, 5), (6, 2)])
  func gradientsThroughSoftAlignment(_ sizes: (Int, Int)) throws {
    var c = tinyConfiguration()
    c.modalities[1].alignedSteps = 3
    c.modalities[2].alignedSteps = 2
    try compareGradients(Fixture(c, samples: sizes.0, workers: sizes.1, dropout: 0.3))
  }

  @Test(arguments: ModelConfiguration.Padding.allCases) func gradientsWithPadding(_ padding: ModelConfiguration.Padding)
    throws
  {
    var c = tinyConfiguration()
    c.padding = padding
    try compareGradients(Fixture(c, samples: 4, workers: 2, dropout: 0.3))
  }

  func compareGradients(_ x: Fixture) throws {
    // Key biases have no gradient but rounding: the floor keeps the loss's rounding (6e-5 observed) far below tolerance.
    var check = GradientCheck(tolerance: 3e-3, floor: 0.1)
    for m in x.c.modalities.indices {
      let weights = try x.weights(m)
      let loss = { () -> Double in
        x.forward(m)
        return weightedSum(x.plain(m), weights)
      }
      _ = loss()
      let gradient = try x.backward(m)
      let alignment = x.c.modalities[m].alignedSteps == nil ? 0 : 8
      #expect(x.parameters(m).count == 8 + alignment + 16 * x.c.modalities[m].layers)
      for p in x.parameters(m) { check.compare(p.name, x.θ[p], gradient[p], atMost: 8, loss: loss) }
    }
    #expect(check.passes, "\(check)")
  }

  /// Who computes what beside which other samples changes no bit.
  @Test func workersChangeNothing() throws {
    let one = try Fixture(samples: 6, dropout: 0.3)
    let five = try Fixture(samples: 6, workers: 5, dropout: 0.3)
    for m in one.c.modalities.indices {
      one.forward(m)
      five.forward(m)
      #expect(bits(values(five.plain(m))) == bits(values(one.plain(m))))
      let (a, b) = (try one.backward(m), try five.backward(m))
      for p in one.parameters(m) { #expect(bits(values(b[p])) == bits(values(a[p])), "\(p.name)") }
    }
  }

  /// Leaving padded steps out gives what masking them gives, forward and backward.
  @Test func packedEqualsMasked() throws {
    let (packed, masked) = (tinyConfiguration(), with(tinyConfiguration()) { $0.padding = .mask })
    try compare(
      Fixture(packed, samples: 6, workers: 2, dropout: 0), Fixture(masked, samples: 6, workers: 2, dropout: 0))
  }

  /// Where no step is padding, all three kinds are one arithmetic.
  @Test(arguments: [ModelConfiguration.Padding.attend, .mask]) func equalWithoutPadding(
    _ padding: ModelConfiguration.Padding
  ) throws {
    let other = with(tinyConfiguration()) { $0.padding = padding }
    let x = try Fixture(samples: 6, workers: 2, dropout: 0.3, ragged: false)
    let y = try Fixture(other, samples: 6, workers: 2, dropout: 0.3, ragged: false)
    for m in x.c.modalities.indices {
      x.forward(m)
      y.forward(m)
      #expect(bits(values(x.plain(m))) == bits(values(y.plain(m))))
      let (a, b) = (try x.backward(m), try y.backward(m))
      for p in x.parameters(m) { #expect(bits(values(a[p])) == bits(values(b[p])), "\(p.name)") }
    }
  }

  /// Attended padding is data: plain vectors of padded samples differ from masked ones.
  @Test func attendedPaddingCounts() throws {
    let attended = with(tinyConfiguration()) { $0.padding = .attend }
    let (x, y) = (
      try Fixture(samples: 6, workers: 2, dropout: 0), try Fixture(attended, samples: 6, workers: 2, dropout: 0)
    )
    x.forward(0)
    y.forward(0)
    #expect(y.own.encoders[0].sequences.rowCount == 24)
    #expect(relativeDifference(values(y.plain(0)), values(x.plain(0)).map(Double.init)) > 1e-2)
  }

  private func with(
    _ c: ModelConfiguration, _ change: (inout ModelConfiguration) -> Void
  ) -> ModelConfiguration {
    var c = c
    change(&c)
    return c
  }

  private func compare(_ x: Fixture, _ y: Fixture) throws {
    for m in x.c.modalities.indices {
      x.forward(m)
      y.forward(m)
      #expect(relativeDifference(values(y.plain(m)), values(x.plain(m)).map(Double.init)) < 1e-5)
      let (a, b) = (try x.backward(m), try y.backward(m))
      for p in x.parameters(m) where !p.name.hasSuffix("key.bias") {
        #expect(relativeDifference(values(b[p]), values(a[p]).map(Double.init)) < 1e-4, "\(p.name)")
      }
    }
  }
}
