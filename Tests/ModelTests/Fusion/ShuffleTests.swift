import TestSupport
import Testing

@testable import Model
@testable import Tensor

struct ShuffleTests {
  static func taken(_ s: Shuffle, _ B: Int, _ M: Int, _ C: Int) -> [[Int32]] {
    (0..<B * M * C).map { [s.samples[$0], s.modalities[$0], Int32($0 % C)] }
  }

  @Test(arguments: [(1, 1, 1), (4, 3, 2), (7, 2, 5), (5, 4, 1)])
  func drawsPermutations(_ B: Int, _ M: Int, _ C: Int) {
    let s = Shuffle(batch: B, modalities: M, labels: C)
    s.draw(seed: 3, step: 8)
    for c in 0..<C {
      for m in 0..<M {
        #expect(Set((0..<B).map { s.samples[($0 * M + m) * C + c] }) == Set(0..<Int32(B)))
      }
      for b in 0..<B { #expect(Set((0..<M).map { s.modalities[(b * M + $0) * C + c] }) == Set(0..<Int32(M))) }
    }
  }

  @Test func drawsDependOnSeedAndStepAlone() {
    let s = Shuffle(batch: 6, modalities: 3, labels: 4)
    func drawn(_ seed: UInt64, _ step: Int) -> [[Int32]] {
      s.draw(seed: seed, step: step)
      return Self.taken(s, 6, 3, 4)
    }
    let all = [drawn(1, 0), drawn(1, 1), drawn(2, 0)]
    #expect(Set(all).count == 3)
    #expect(drawn(1, 0) == all[0])
    // Each label and modality has its own permutation of samples, each label and sample its own of modalities.
    let columns = (0..<12).map { k in (0..<6).map { s.samples[$0 * 12 + k] } }
    #expect(Set(columns).count > 6)
  }

  enum Indices: CaseIterable { case drawn, identity, anything }

  /// Gather and its gradient against loops over the definition; `anything` takes some betas often and some never.
  @Test(arguments: Indices.allCases, [(1, 1, 1, 1), (4, 3, 2, 5), (3, 2, 4, 17)])
  func gatherAndGradient(_ indices: Indices, _ sizes: (Int, Int, Int, Int)) throws {
    let (B, M, C, D) = sizes
    let s = Shuffle(batch: B, modalities: M, labels: C)
    s.draw(seed: 5, step: 0)
    let key = RandomKey(seed: 7)
    for i in 0..<B * M * C where indices != .drawn {
      let (a, b) = key.words(0, UInt32(i))
      s.samples[i] = indices == .identity ? Int32(i / (M * C)) : Int32(a % UInt32(B))
      s.modalities[i] = indices == .identity ? Int32(i / C % M) : Int32(b % UInt32(M))
    }
    s.indexTakers()
    let betas = try random(B * M, C * D, seed: 1)
    let (shuffled, whole) = (try zeros(B * M, C * D), try zeros(B * M, C * D))
    // Sample by sample.
    for b in 0..<B { s.gather(betas, firstRow: b * M, into: shuffled.rows(b * M..<(b + 1) * M)) }
    s.gather(betas, firstRow: 0, into: whole)
    let dshuffled = try random(B * M, C * D, seed: 2)
    var scattered = [Double](repeating: 0, count: B * M * C * D)
    for row in 0..<B * M {
      for c in 0..<C {
        let i = row * C + c
        let source = Int(s.samples[i]) * M + Int(s.modalities[i])
        #expect(s.source(of: i) == source * C + c)
        for j in 0..<D {
          #expect(shuffled[row, c * D + j] == betas[source, c * D + j])
          scattered[source * C * D + c * D + j] += Double(dshuffled[row, c * D + j])
        }
      }
    }
    #expect(values(whole) == values(shuffled))
    let before = try random(B * M, C * D, seed: 3)
    let d = try zeros(B * M, C * D)
    d.copy(from: before)
    for b in 0..<B {
      for m in 0..<M {
        for c in 0..<C { s.addGradient(dshuffled, sample: b, modality: m, label: c, to: d.row(b * M + m) + c * D) }
      }
    }
    add(before, scale: -1, to: d)
    #expect(relativeDifference(values(d), scattered) < 1e-6)
    if indices == .identity { #expect(values(shuffled) == values(betas)) }
  }

  @Test func labelsGoWithTheirBetas() throws {
    let (B, M, C) = (5, 3, 4)
    let s = Shuffle(batch: B, modalities: M, labels: C)
    s.draw(seed: 1, step: 1)
    let labels = try random(B, C, seed: 1)
    for row in 0..<B * M {
      for c in 0..<C { #expect(s.label(row: row, c, labels) == labels[Int(s.samples[row * C + c]), c]) }
    }
  }
}
