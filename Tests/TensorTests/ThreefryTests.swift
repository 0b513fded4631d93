import Testing

@testable import Tensor

struct ThreefryTests {
  /// Known answers of Threefry-2x32 with 20 rounds, from the Random123 distribution.
  @Test func knownAnswers() {
    #expect(RandomKey(low: 0, high: 0).words(0, 0) == (0x6b20_0159, 0x99ba_4efe))
    #expect(RandomKey(low: .max, high: .max).words(.max, .max) == (0x1cb9_96fc, 0xbb00_2be7))
    #expect(
      RandomKey(low: 0x1319_8a2e, high: 0x0370_7344).words(0x243f_6a88, 0x85a3_08d3) == (0xc492_3a9c, 0x483d_f7a0))
  }

  @Test func knownAnswersOfThirteenRounds() {
    func words(_ key: RandomKey, _ c0: UInt32, _ c1: UInt32) -> (UInt32, UInt32) {
      let both = threefry(key, Words(repeating: c0), Words(repeating: c1), short: true)
      return (both.0[3], both.1[3])
    }
    #expect(words(RandomKey(low: 0, high: 0), 0, 0) == (0x9d1c_5ec6, 0x8bd5_0731))
    #expect(words(RandomKey(low: .max, high: .max), .max, .max) == (0xfd36_d048, 0x2d17_272c))
    #expect(
      words(RandomKey(low: 0x1319_8a2e, high: 0x0370_7344), 0x243f_6a88, 0x85a3_08d3) == (0xba3e_4725, 0xf27d_669e))
  }

  @Test func lanesAreIndependentCounters() {
    let key = RandomKey(seed: 5)
    let both = threefry(key, Words(repeating: 3), Words(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
    for i in 0..<16 { #expect(key.words(3, UInt32(i)) == (both.0[i], both.1[i])) }
  }

  @Test(arguments: [0, 1, 2, 3, 10, 1000]) func permutationsContainEachNumberOnce(_ count: Int) {
    var p = [Int32](repeating: -1, count: count)
    p.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { RandomKey(seed: 1).fillPermutation(base, count: count, stream: 2) }
    }
    #expect(p.sorted() == (0..<Int32(count)).map { $0 })
    if count == 1000 { #expect(p != p.sorted()) }
  }

  @Test func normalDeviatesHaveTheirMoments() {
    let count = 100_000
    var x = [Float](repeating: 0, count: count)
    RandomKey(seed: 9).fillNormal(&x, count: count, stream: 1, deviation: 2)
    let mean = x.reduce(0) { $0 + Double($1) } / Double(count)
    let variance = x.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(count)
    #expect(abs(mean) < 0.03)
    #expect(abs(variance - 4) < 0.08)
  }

  @Test func uniformDeviatesFillTheirRange() {
    var x = [Float](repeating: 0, count: 100_000)
    RandomKey(seed: 9).fillUniform(&x, count: x.count, stream: 1, bound: 0.5)
    #expect(x.allSatisfy { $0 >= -0.5 && $0 < 0.5 })
    #expect(abs(x.reduce(0, +) / Float(x.count)) < 0.005)
    #expect((x.max() ?? 0) > 0.499 && (x.min() ?? 0) < -0.499)
  }
}
