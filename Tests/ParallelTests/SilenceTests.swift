import Testing

@testable import Parallel

@Suite struct SilenceTests {
  let start = ContinuousClock.now

  func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

  @Test func whoIsSilentForLongerThanTheTimeoutIsMissing() {
    var silence = Silence(peers: 3, timeout: .seconds(10), now: start)
    for second in 1...10 {
      silence.heard(0, now: at(Double(second)))
      if second < 5 { silence.heard(2, now: at(Double(second))) }
      #expect(silence.missing(now: at(Double(second))) == [])
    }
    #expect(silence.missing(now: at(10.5)) == [1])
    silence.heard(0, now: at(14))
    #expect(silence.missing(now: at(14.5)) == [1, 2])
    silence.heard(1, now: at(14.6))
    #expect(silence.missing(now: at(15)) == [2])
  }

  /// A process that was stopped itself, such as a suspended job, has heard nobody meanwhile.
  @Test func everyonesTimeBeginsAnewAfterAPauseOfOnesOwn() {
    var silence = Silence(peers: 2, timeout: .seconds(10), now: start)
    #expect(silence.missing(now: at(1)) == [])
    #expect(silence.missing(now: at(3600)) == [])
    silence.heard(0, now: at(3601))
    for second in 3601...3610 { #expect(silence.missing(now: at(Double(second))) == []) }
    #expect(silence.missing(now: at(3610.5)) == [1])
  }
}
