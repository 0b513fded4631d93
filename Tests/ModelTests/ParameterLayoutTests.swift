import Foundation
import Parallel
import Testing

@testable import Model

struct ParameterLayoutTests {
  @Test func tensorsStartOnCacheLinesUnlessTheyAdjoin() {
    var layout = ParameterLayout()
    let a = layout.add("a", 3, 5, initial: .zeros)
    let b = layout.add("b", 2, 2, initial: .zeros)
    let c = layout.add("c", 7, initial: .zeros, adjoining: true)
    let d = layout.add("d", 1, initial: .ones, bySample: true)
    let e = layout.add("e", 4, 4, initial: .ones)
    let f = layout.add("f", 3, initial: .ones, adjoining: true, bySample: true)
    #expect([a, b, c, d, e, f].map(\.offset) == [0, 16, 20, 32, 48, 64] && layout.count == 67)
    // Those of a sample lie in an order of their own.
    #expect([a, d, e, f].map(\.sampleOffset) == [nil, 0, nil, 16] && layout.sampleCount == 19)
    #expect((a.rows, a.columns, a.count) == (3, 5, 15) && a.range == 0..<15)
    #expect((c.rows, c.columns) == (1, 7))
    #expect(layout.parameters == [a, b, c, d, e, f])
  }

  @Test func viewsOfAPart() throws {
    var layout = ParameterLayout()
    let (a, b) = (layout.add("a", 2, 2, initial: .zeros), layout.add("b", 3, 2, initial: .zeros, adjoining: true))
    let memory = try random(1, layout.count, seed: 1)
    let all = Parameters(memory.base)
    let part = Parameters(memory.base + b.offset, from: b.offset)
    #expect(part[b].base == all[b].base)
    let both = Parameter(joining: [a, b], name: "both")
    #expect((both.rows, both.columns) == (5, 2) && values(all[both]) == values(all[a]) + values(all[b]))
  }

  /// Weights lie packed in both orders, as products read them, whoever packs which part.
  @Test(arguments: [1, 2, 5, 64]) func packing(_ parts: Int) throws {
    var layout = ParameterLayout()
    let layers = [(7, 5), (40, 33)].map { Linear("\($0.0)", inputs: $0.0, outputs: $0.1, in: &layout) }
    let θ = try packable(layout, random(1, layout.count, seed: 3))
    for part in (0..<parts).reversed() { θ.pack(layout, part: part, parts: parts) }
    for layer in layers {
      let W = θ[layer.weight]
      let (x, dy) = (try random(3, W.columns, seed: 4), try random(3, W.rows, seed: 5))
      let (y, dx) = (try zeros(3, W.rows), try zeros(3, W.columns))
      layer.forward(x, θ, into: y)
      layer.backwardInput(dy, θ, into: dx)
      for i in 0..<3 {
        for o in 0..<W.rows {
          let sum = (0..<W.columns).reduce(θ[layer.bias][0, o]) { $0.addingProduct(x[i, $1], W[o, $1]) }
          #expect(y[i, o] == sum)
        }
        for j in 0..<W.columns {
          #expect(dx[i, j] == (0..<W.rows).reduce(Float(0)) { $0.addingProduct(dy[i, $1], W[$1, j]) })
        }
      }
    }
  }

  /// The reference's default configuration.
  static var reference: ModelConfiguration {
    ModelConfiguration(
      modalities: [
        .init(name: "text", features: 300, maximumSteps: 60, layers: 6),
        .init(name: "visual", features: 35, maximumSteps: 500, layers: 4),
        .init(name: "audio", features: 74, maximumSteps: 500, layers: 4),
      ], labels: 6)
  }

  /// Names and shapes are those of the reference's state dict: nothing is missing, nothing is more.
  @Test func namesAndShapesArePyTorchs() throws {
    let directory = try #require(Bundle.module.url(forResource: "Golden", withExtension: nil))
    let text = try String(contentsOf: directory.appendingPathComponent("state_dict.txt"), encoding: .utf8)
    let expected = Set(text.split(separator: "\n").map(String.init))
    let state = try TrainingState(CARATModel(Self.reference), placement: Placement(.current(), workers: 1))
    let own = state.withWeights { tensors in
      tensors.map { ([$0.name] + $0.shape.map(String.init)).joined(separator: " ") }
    }
    #expect(Set(own).count == own.count && expected.count == 300)
    #expect(Set(own).subtracting(expected).sorted() == [])
    #expect(expected.subtracting(own).sorted() == [])
    #expect(state.model.trained.reduce(0) { $0 + $1.count } == 7_162_360)
  }

  @Test(arguments: 1...4) func tensorsDoNotOverlap(_ modalities: Int) {
    let model = CARATModel(tinyConfiguration(modalities: modalities))
    let ranges = model.layout.parameters.map(\.range).sorted { $0.lowerBound < $1.lowerBound }
    for (a, b) in zip(ranges, ranges.dropFirst()) { #expect(a.upperBound <= b.lowerBound) }
    #expect((ranges.last?.upperBound ?? 0) <= model.layout.count)
    #expect(Set(model.layout.parameters.map(\.name)).count == model.layout.parameters.count)
    // Segments cover every trained tensor and do not overlap.
    let segments = model.segments
    #expect(segments.first?.lowerBound == 0 && segments.last?.upperBound == model.trainedCount)
    for (a, b) in zip(segments, segments.dropFirst()) { #expect(a.upperBound == b.lowerBound) }
    for p in model.trained {
      #expect(segments.contains { $0.contains(p.offset) && $0.upperBound >= p.range.upperBound })
    }
    #expect(model.turns.flatMap(\.segments).sorted() == Array(segments.indices))
  }
}
