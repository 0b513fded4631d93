import Parallel
import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct BatchPartTests {
  @Test(arguments: [(9, 4), (6, 2), (5, 1), (4, 0), (0, 0)]) func takesWhatTheBatchHas(_ inBatch: Int, _ count: Int)
    throws
  {
    let c = tinyConfiguration()
    let model = CARATModel(c)
    let exchange = try Exchange(c, batchSize: 9, in: testArena)
    // The second block of three.
    let part = try BatchPart(model, samples: 4..<8, workers: 2, exchange: exchange, in: testArena)
    let batch = Batch(c, capacity: 9)
    let source = try RandomSource(c, count: 20)
    batch.fill((0..<inBatch).map { 10 + $0 }, of: source)
    part.begin(batch)
    #expect(part.count == count)
    let own = part.microBatches[0]
    for m in 0..<3 {
      let lengths = (0..<count).map { source.length(sample: 14 + $0, modality: m) }
      let sequences = own.encoders[m].sequences
      #expect(sequences.count == count && sequences.rowCount == lengths.reduce(0, +))
      #expect(own.encoders[m].hidden.rows == sequences.rowCount)
      for s in 0..<count { #expect(sequences.place(s) == 4 + s) }
      for worker in 0..<2 {
        for run in own.pass(m, worker: worker, model.testParameters, .none, scratch: try scratch(0)).runs {
          own.encoders[m].load(batch, run: run, modality: m)
        }
      }
      for s in 0..<count {
        let expected = try zeros(lengths[s], c.modalities[m].features)
        source.copyFeatures(sample: 14 + s, modality: m, steps: lengths[s], into: expected.base)
        #expect(values(own.encoders[m].embeddings.features.rows(sequences.rows(s))) == values(expected))
      }
    }
    #expect(part.heads.unit.live.base == exchange.live.row(4 * 27) && part.heads.unitGradient.rows == 4 * 27)
  }

  /// Every sample goes through every encoder once, in runs of consecutive ones, and nobody has much more than others.
  @Test(arguments: [(64, 2), (64, 64), (64, 128), (7, 3), (0, 4)]) func runs(_ count: Int, _ workers: Int) {
    let runs = EncoderRuns(modalities: 3, samples: 64, longest: 4, workers: workers)
    let costs = (0..<3).map { m in (0..<64).map { s in [6, 4, 4][m] * (10 + s * 7 % 50) } }
    for m in 0..<3 { for s in 0..<64 { runs.set(m, s, cost: costs[m][s]) } }
    runs.deal(count)
    var loads = [Int](repeating: 0, count: workers)
    for m in 0..<3 {
      var seen: [Int] = []
      for worker in 0..<workers {
        for run in runs.ofWorker(worker, modality: m) {
          #expect((1...4).contains(run.count))
          seen += Array(run)
          loads[worker] += run.reduce(0) { $0 + costs[m][$1] }
        }
      }
      #expect(seen.sorted() == Array(0..<count))
    }
    let all = costs.flatMap { $0.prefix(count) }
    let ideal = max(Double(all.reduce(0, +)) / Double(workers), Double(all.max() ?? 0))
    #expect(Double(loads.max() ?? 0) <= ideal * 1.35)
  }
}

extension CARATModel {
  /// Parameters that nobody reads.
  fileprivate var testParameters: Parameters { Parameters(UnsafeMutablePointer(bitPattern: 64).unsafelyUnwrapped) }
}

/// Gradients of weights, tile by tile, against the tree's definition.
struct WeightGradientsTests {
  /// dYᵀ X of each sample's rows, chains over blocks of four, then the tree.
  private static func direct(_ dy: Matrix, _ x: Matrix, _ rows: (Range<Int>) -> Range<Int>, samples: Int) -> [Float] {
    func value(_ node: Range<Int>) -> [Float] {
      guard node.count > 4, let (left, right) = ReductionTree(leaves: samples).children(of: node) else {
        return (0..<dy.columns).flatMap { o in
          (0..<x.columns).map { i in
            rows(node).reduce(Float(0)) { $0.addingProduct(dy[$1, o], x[$1, i]) }
          }
        }
      }
      return zip(value(left), value(right)).map { $0 + $1 }
    }
    return value(0..<samples)
  }

  @Test(arguments: [1, 4, 7, 18], [1, 3, 40]) func bitsOfTheTree(_ samples: Int, _ workers: Int) throws {
    let c = wideConfiguration(textFeatures: 40)
    let model = CARATModel(c)
    let p = model.encoders[0].layers[0].projections.weight
    let lengths = (0..<samples).map { 1 + $0 * 13 % 20 }
    let table = try SequenceTable(lengths)
    let (dy, x) = (
      try random(table.sequences.rowCount, p.rows, seed: 1), try random(table.sequences.rowCount, p.columns, seed: 2)
    )
    let source = WeightSource(p, perSample: 20) { samples, body in
      let rows = table.sequences.rows(samples)
      body(dy.rows(rows), x.rows(rows))
    }
    let gradients = GradientRows(values: try random(samples, model.layout.sampleCount, seed: 3))
    let arenas = (0..<workers).map { _ in testArena }
    let own = try WeightGradients(
      model, samples: 0..<samples, tree: ReductionTree(leaves: samples), sources: [source], gradients: gradients,
      segments: [0..<model.trainedCount], workers: arenas[...], in: testArena)
    own.deal()
    let memory = try scratch(WeightGradients.scratchSize(batchSize: samples, rows: 80))
    for worker in 0..<workers { own.compute(segment: 0, worker: worker, scratch: memory) }
    #expect(own.nodes.map(\.leaves) == [0..<samples])
    let result = Parameters(own.nodes[0].base)
    #expect(bits(values(result[p])) == bits(Self.direct(dy, x, { table.sequences.rows($0) }, samples: samples)))
    // What is made sample by sample: a leaf is a sample.
    func sum(_ node: Range<Int>, _ i: Int) -> Float {
      guard let (left, right) = ReductionTree(leaves: samples).children(of: node) else {
        return gradients.values[node.lowerBound, i]
      }
      return sum(left, i) + sum(right, i)
    }
    for q in model.trained {
      guard let offset = q.sampleOffset else { continue }
      let expected = (0..<q.count).map { sum(0..<samples, offset + $0) }
      #expect(bits(values(result[q])) == bits(expected), "\(q.name)")
    }
  }
}
