import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct EncoderTests {
  /// A whole batch's shards on one worker, with the reduction tree behind them.
  struct Fixture {
    let c: ModelConfiguration
    let model: CARAT
    let θ: Parameters
    let shards: [Shard]
    let scratch: Scratch
    let tree: TreeAccumulator
    let dropouts: DropoutSites
    let source: RandomSource
    let batch: Batch

    init(
      _ configuration: ModelConfiguration = tinyConfiguration(), samples: Int, shards count: Int, dropout: Float,
      ragged: Bool = true
    ) throws {
      c = configuration
      model = CARAT(c)
      θ = try packable(model.layout, random(1, model.layout.count, seed: 3, deviation: 0.5))
      let plan = try ShardPlan(batchSize: samples, shards: count, workers: 1)
      let exchange = try Exchange(c, batchSize: samples, in: testArena)
      let model = model
      shards = try (0..<count).map {
        try Shard(model, index: $0, samples: plan.samples(ofShard: $0), exchange: exchange, in: testArena)
      }
      scratch = try ModelTests.scratch(Encoder.scratchSize(c, samples: plan.shardSize))
      tree = try TreeAccumulator(
        tree: ReductionTree(shards: count), run: 0..<count, count: model.trainedCount, maxGroup: model.largestGroup,
        arena: testArena)
      dropouts = DropoutSites(rate: dropout, seed: 9, step: 2)
      source = try RandomSource(c, count: samples, ragged: ragged)
      batch = Batch(c, capacity: samples)
      batch.fill(0..<samples, of: source)
      for shard in shards { shard.load(batch) }
    }

    /// The weight of each plain element in the loss: a function of modality, sample and element, not of the shards.
    func weights(_ m: Int, _ shard: Shard) throws -> Matrix {
      try random(64, c.hiddenSize, seed: 70 + UInt64(m)).rows(
        shard.first * c.labels..<(shard.first + shard.count) * c.labels)
    }

    func forward(_ m: Int) {
      // Normalised in place by forward, so taken again.
      for shard in shards { shard.load(batch) }
      θ.pack(model.layout)
      model.encoders[m].forward(shards[...], θ, dropouts, scratch: scratch)
    }

    func backward(_ m: Int) throws -> Parameters {
      for shard in shards { shard.plainGradient(m).copy(from: try weights(m, shard)) }
      model.encoders[m].backward(shards[...], θ, dropouts, scratch: scratch, into: tree)
      return Parameters(tree.nodes[0].base)
    }

    /// An encoder's parameters, by the groups that it reduces.
    func parameters(_ m: Int) -> [Parameter] {
      let encoder = model.encoders[m]
      return model.layout.parameters.filter { p in encoder.groups.contains { $0.contains(p.offset) } }
    }
  }

  @Test(arguments: [(1, 1), (3, 1), (3, 3), (6, 2)], [Float(0), 0.3])
  func gradientsThroughTheTree(_ sizes: (Int, Int), _ dropout: Float) throws {
    try compareGradients(Fixture(samples: sizes.0, shards: sizes.1, dropout: dropout))
  }

  /// The same behind a soft alignment, of one modality to as many steps as it has.
  @Test(arguments: [(1, 1), (5, 5), (6, 2)])
  func gradientsThroughSoftAlignment(_ sizes: (Int, Int)) throws {
    var c = tinyConfiguration()
    c.modalities[1].alignedSteps = 3
    c.modalities[2].alignedSteps = 2
    try compareGradients(Fixture(c, samples: sizes.0, shards: sizes.1, dropout: 0.3))
  }

  @Test(arguments: ModelConfiguration.Padding.allCases) func gradientsWithPadding(_ padding: ModelConfiguration.Padding)
    throws
  {
    var c = tinyConfiguration()
    c.padding = padding
    try compareGradients(Fixture(c, samples: 4, shards: 2, dropout: 0.3))
  }

  func compareGradients(_ x: Fixture) throws {
    // Key biases have no gradient but rounding: the floor keeps the loss's rounding (6e-5 observed) far below tolerance.
    var check = GradientCheck(tolerance: 3e-3, floor: 0.1)
    for m in x.c.modalities.indices {
      let weights = try x.shards.map { try x.weights(m, $0) }
      let loss = { () -> Double in
        x.forward(m)
        return zip(x.shards, weights).reduce(0) { $0 + weightedSum($1.0.plain(m), $1.1) }
      }
      _ = loss()
      let gradient = try x.backward(m)
      let alignment = x.c.modalities[m].alignedSteps == nil ? 0 : 8
      #expect(x.parameters(m).count == 8 + alignment + 16 * x.c.modalities[m].layers)
      for p in x.parameters(m) { check.compare(p.name, x.θ[p], gradient[p], atMost: 8, loss: loss) }
    }
    #expect(check.passes, "\(check)")
  }

  /// Masks are keyed by the sample, so only the order of additions depends on the shards.
  @Test func shardsChangeNothingButRounding() throws {
    let (one, six) = (
      try Fixture(samples: 6, shards: 1, dropout: 0.3), try Fixture(samples: 6, shards: 6, dropout: 0.3)
    )
    for m in one.c.modalities.indices {
      one.forward(m)
      six.forward(m)
      let plain = six.shards.flatMap { values($0.plain(m)) }
      #expect(relativeDifference(plain, values(one.shards[0].plain(m)).map(Double.init)) < 1e-5)
      let (a, b) = (try one.backward(m), try six.backward(m))
      for p in one.parameters(m) where !p.name.hasSuffix("key.bias") {
        #expect(relativeDifference(values(b[p]), values(a[p]).map(Double.init)) < 1e-4, "\(p.name)")
      }
    }
  }

  /// Leaving padded steps out gives what masking them gives, forward and backward.
  @Test func packedEqualsMasked() throws {
    let (packed, masked) = (tinyConfiguration(), with(tinyConfiguration()) { $0.padding = .mask })
    try compare(Fixture(packed, samples: 6, shards: 2, dropout: 0), Fixture(masked, samples: 6, shards: 2, dropout: 0))
  }

  /// Where no step is padding, all three kinds are one arithmetic.
  @Test(arguments: [ModelConfiguration.Padding.attend, .mask]) func equalWithoutPadding(
    _ padding: ModelConfiguration.Padding
  ) throws {
    let other = with(tinyConfiguration()) { $0.padding = padding }
    let x = try Fixture(samples: 6, shards: 2, dropout: 0.3, ragged: false)
    let y = try Fixture(other, samples: 6, shards: 2, dropout: 0.3, ragged: false)
    for m in x.c.modalities.indices {
      x.forward(m)
      y.forward(m)
      #expect(bits(x.shards.flatMap { values($0.plain(m)) }) == bits(y.shards.flatMap { values($0.plain(m)) }))
      let (a, b) = (try x.backward(m), try y.backward(m))
      for p in x.parameters(m) { #expect(bits(values(a[p])) == bits(values(b[p])), "\(p.name)") }
    }
  }

  /// Attended padding is data: plain vectors of padded samples differ from masked ones.
  @Test func attendedPaddingCounts() throws {
    let attended = with(tinyConfiguration()) { $0.padding = .attend }
    let (x, y) = (
      try Fixture(samples: 6, shards: 2, dropout: 0), try Fixture(attended, samples: 6, shards: 2, dropout: 0)
    )
    x.forward(0)
    y.forward(0)
    #expect(y.shards[0].encoders[0].sequences.rowCount == 12)
    let plain = y.shards.flatMap { values($0.plain(0)) }
    #expect(relativeDifference(plain, x.shards.flatMap { values($0.plain(0)) }.map(Double.init)) > 1e-2)
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
      let plain = y.shards.flatMap { values($0.plain(m)) }
      #expect(relativeDifference(plain, x.shards.flatMap { values($0.plain(m)) }.map(Double.init)) < 1e-5)
      let (a, b) = (try x.backward(m), try y.backward(m))
      for p in x.parameters(m) where !p.name.hasSuffix("key.bias") {
        #expect(relativeDifference(values(b[p]), values(a[p]).map(Double.init)) < 1e-4, "\(p.name)")
      }
    }
  }
}
