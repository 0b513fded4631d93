import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

/// The reference's optimizer, tensor by tensor in double precision, together with the clip of all gradients before it.
private struct DirectAdam {
  var parameters: [[Double]]
  private var first: [[Double]]
  private var second: [[Double]]
  private let names: [String]

  init(_ parameters: [[Double]], names: [String]) {
    self.parameters = parameters
    self.names = names
    first = parameters.map { $0.map { _ in 0 } }
    second = first
  }

  mutating func step(_ gradients: [[Double]], rate: Double, decay: Double, maximumNorm: Double) {
    func norm(_ g: [Double]) -> Double { g.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    let global = min(1, maximumNorm / (norm(gradients.map(norm)) + 1e-6))
    for i in parameters.indices {
      let clipped = gradients[i].map { $0 * global }
      let own = min(1, maximumNorm / (norm(clipped) + 1e-6))
      let excluded = names[i].contains("bias") || names[i].contains("LayerNorm.weight")
      for j in clipped.indices {
        let g = clipped[j] * own
        first[i][j] = 0.9 * first[i][j] + 0.1 * g
        second[i][j] = 0.999 * second[i][j] + 0.001 * g * g
        let update = first[i][j] / (second[i][j].squareRoot() + 1e-6) + (excluded ? 0 : decay * parameters[i][j])
        parameters[i][j] -= rate * update
      }
    }
  }
}

struct BertAdamTests {
  /// A model with a tensor longer than a chunk, gradients that come from three samples.
  final class Fixture {
    let state: TrainingState
    let reduction: GradientReduction
    let adam: BertAdam
    let nodes: [TreeNode]
    let workers: Int
    let trained: [Parameter]

    init(workers: Int) throws {
      var c = tinyConfiguration(modalities: 2, queue: 0)
      c.modalities[0].features = 1500
      self.workers = workers
      let placement = Placement(.current(), workers: 1)
      let model = CARATModel(c)
      state = try TrainingState(model, placement: placement)
      state.initialize(seed: 4)
      trained = Array(model.trained)
      var optimizer = OptimizerConfiguration(totalSteps: 10)
      optimizer.learningRate = 1e-2
      optimizer.weightDecay = 0.1
      nodes = try [0..<1, 1..<2, 2..<3].map { TreeNode(leaves: $0, base: try testArena.allocate(model.trainedCount)) }
      let ranks = Ranks(SoloCommunicator(), groups: [workers])
      let arenas = (0..<workers).map { _ in testArena }
      reduction = try GradientReduction(
        GradientSlices(model, ranks: ranks), tree: ReductionTree(leaves: 3), ranks: ranks, runs: [0..<3], nodes: nodes,
        arenas: arenas, shared: testArena)
      adam = try BertAdam(optimizer, state: state, reduction: reduction, arenas: arenas)
    }

    /// Fills the samples' gradients; returns their sums, tensor by tensor.
    func fill(step: Int, deviation: Float) -> [[Double]] {
      for (i, node) in nodes.enumerated() {
        RandomKey(seed: UInt64(100 * step + i)).fillNormal(
          node.base, count: state.model.trainedCount, stream: 0, deviation: deviation)
      }
      return sums
    }

    /// Of the samples' gradients, tensor by tensor.
    var sums: [[Double]] { trained.map { p in p.range.map { i in nodes.reduce(0.0) { $0 + Double($1.base[i]) } } } }

    func step(_ k: Int) {
      step(rate: adam.configuration.rate(atStep: k))
    }

    func step(rate: Float) {
      for w in 0..<workers { reduction.reduce(worker: w) }
      for w in 0..<workers {
        adam.prepare(worker: w)
        adam.update(segment: 0, worker: w, rate: rate)
      }
    }

    var parameters: [[Double]] { trained.map { values(state.parameters[$0]).map(Double.init) } }
  }

  /// Gradients of norm about 0.02 (no clip), then of about 200 (clipped).
  @Test(arguments: [1, 3], [Float(1e-4), 1]) func matchesTheReference(_ workers: Int, _ deviation: Float) throws {
    let f = try Fixture(workers: workers)
    #expect(f.trained.contains { $0.count > GradientSlices.chunkSize })
    #expect(!f.trained.contains { $0.name.contains("pooler") })
    // About 3e-2 here; moments of float32 differ by 1e-6 of it.
    matches(f, steps: 4, within: 2e-5) { f.fill(step: $0, deviation: deviation) }
  }

  /// One tensor has nearly all of the norm: it is clipped to 1 like all together, the rest with it.
  @Test func clipsOneLoudTensor() throws {
    let f = try Fixture(workers: 2)
    // Here ε = 1e-6 is comparable to the quiet tensors' moments.
    matches(f, steps: 2, within: 5e-5) { k in
      _ = f.fill(step: k, deviation: 1e-3)
      for node in f.nodes { for i in f.trained[3].range { node.base[i] *= 1e5 } }
      return f.sums
    }
  }

  /// Takes steps and compares what they change, not the values: that is what the optimiser makes.
  ///
  /// - Parameter fill: fills a step's gradients, and returns their sums.
  private func matches(_ f: Fixture, steps: Int, within tolerance: Double, _ fill: (_ step: Int) -> [[Double]]) {
    var direct = DirectAdam(f.parameters, names: f.trained.map(\.name))
    let (start, c) = (f.parameters, f.adam.configuration)
    for k in 0..<steps {
      let gradients = fill(k)
      f.step(k)
      if k == 0 { #expect(f.parameters == start) }  // the first rate is 0, but the moments have moved
      direct.step(gradients, rate: Double(c.rate(atStep: k)), decay: Double(c.weightDecay), maximumNorm: 1)
    }
    for (i, p) in f.trained.enumerated() {
      let change = zip(values(f.state.parameters[p]), start[i]).map { Float(Double($0.0) - $0.1) }
      let expected = zip(direct.parameters[i], start[i]).map { $0.0 - $0.1 }
      #expect(relativeDifference(change, expected) < tolerance, "\(p.name)")
    }
  }

  @Test func decayLeavesBiasesAndLayerNormGainsAlone() throws {
    let f = try Fixture(workers: 1)
    for (name, decays) in [
      ("text.embeddings.LayerNorm.weight", false), ("text.embeddings.LayerNorm.bias", false),
      ("text_norm.norm2d.weight", true), ("text_norm.norm2d.bias", false), ("agg.output.bias", false),
      ("agg.output.weight", true), ("text_clf_weight", true), ("text_attention.attention.weight", true),
      ("text.embeddings.position_embeddings.weight", true),
    ] {
      let p = try #require(f.trained.first { $0.name == name })
      #expect(p.decays == decays, "\(name)")
    }
    // Without a gradient only decay moves a parameter.
    let before = f.parameters
    for node in f.nodes { node.base.update(repeating: 0, count: f.state.model.trainedCount) }
    f.step(rate: 0.5)
    for (i, p) in f.trained.enumerated() {
      let expected = before[i].map { p.decays ? $0 * 0.95 : $0 }
      #expect(relativeDifference(values(f.state.parameters[p]), expected) < 1e-6, "\(p.name)")
    }
  }

  @Test func equalBitsForAnyNumberOfWorkers() throws {
    func digest(_ workers: Int) throws -> String {
      let f = try Fixture(workers: workers)
      for k in 0..<3 {
        _ = f.fill(step: k, deviation: 0.1)
        f.step(k)
      }
      return f.state.digest()
    }
    let one = try digest(1)
    for workers in [2, 3, 5, 64] { #expect(try digest(workers) == one) }
  }
}
