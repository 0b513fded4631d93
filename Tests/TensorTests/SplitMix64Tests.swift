import Tensor
import Testing

@Suite struct SplitMix64Tests {
  /// The first numbers of the authors' code for the seed 1234567.
  @Test func knownAnswers() {
    var random = SplitMix64(seed: 1_234_567)
    #expect(
      (0..<3).map { _ in random.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      ])
  }

  @Test func keysMakeDifferentSequences() {
    var seen = Set<UInt64>()
    for a in 0..<100 as Range<UInt64> {
      for b in 0..<100 as Range<UInt64> {
        var random = SplitMix64(seed: 1, a, b)
        seen.insert(random.next())
      }
    }
    #expect(seen.count == 10_000)
  }
}
