import Foundation
import Testing

@testable import Model

struct OptimizerConfigurationTests {
  @Test func risesAndFalls() {
    var c = OptimizerConfiguration(totalSteps: 50)
    c.learningRate = 2e-3
    c.warmup = 0.2
    #expect(c.rate(atStep: 0) == 0)
    #expect(abs(c.rate(atStep: 5) - 1e-3) < 1e-9)
    #expect(c.rate(atStep: 10) == 2e-3)
    #expect(abs(c.rate(atStep: 30) - 1e-3) < 1e-9)
    #expect(abs(c.rate(atStep: 49) - 2e-3 / 40) < 1e-9)
    #expect(c.rate(atStep: 50) == 0 && c.rate(atStep: 80) == 0)
    for step in 1..<10 { #expect(c.rate(atStep: step) > c.rate(atStep: step - 1)) }
    for step in 11...50 { #expect(c.rate(atStep: step) < c.rate(atStep: step - 1)) }
  }

  @Test func withoutWarmUp() {
    var c = OptimizerConfiguration(totalSteps: 4)
    c.learningRate = 1
    c.warmup = 0
    #expect((0...4).map(c.rate) == [1, 0.75, 0.5, 0.25, 0])
    #expect(OptimizerConfiguration(totalSteps: 0).rate(atStep: 0) == 0)
  }

  /// 50 steps, the peak of 2e-3 after 10 of them.
  static var fifty: OptimizerConfiguration {
    var c = OptimizerConfiguration(totalSteps: 50)
    (c.learningRate, c.warmup) = (2e-3, 0.2)
    return c
  }

  @Test func anotherLengthIsAsIfItHadBeenSoFromTheStart() {
    var longer = Self.fifty
    longer.totalSteps = 100
    #expect(Self.fifty.rate(atStep: 50) == 0)
    #expect(abs(longer.rate(atStep: 50) - 2e-3 * 50 / 80) < 1e-9)
  }

  @Test(arguments: [10, 30, 49]) func aFallThatIsContinuedFallsOn(from step: Int) throws {
    let before = Self.fifty
    var now = before
    let start: ScheduleStart = try #require(before.scheduleStart(.continue, afterSteps: step))
    now.scheduleStart = start
    now.totalSteps = 100
    #expect(now.rate(atStep: step) == before.rate(atStep: step) && now.isContinued)
    for k in step...100 {
      let expected = Double(before.rate(atStep: step)) * Double(100 - k) / Double(100 - step)
      #expect(abs(Double(now.rate(atStep: k)) - expected) < 1e-9)
    }
    #expect(now.rate(atStep: 100) == 0 && now.rate(atStep: 120) == 0)
    // Continued once more it does not jump either; and it can become shorter.
    var again = now
    again.scheduleStart = now.scheduleStart(.continue, afterSteps: 70)
    again.totalSteps = 80
    #expect(again.rate(atStep: 70) == now.rate(atStep: 70) && again.rate(atStep: 80) == 0)
    #expect(again.rate(atStep: 75) > 0 && again.rate(atStep: 75) < now.rate(atStep: 75))
  }

  @Test func aRiseThatIsContinuedEndsWhereItWouldHave() throws {
    let before = Self.fifty
    for step in 0..<10 {
      var now = before
      let start: ScheduleStart = try #require(before.scheduleStart(.continue, afterSteps: step))
      now.scheduleStart = start
      now.totalSteps = 100
      for k in step...10 { #expect(abs(now.rate(atStep: k) - before.rate(atStep: k)) < 1e-9, "\(step), \(k)") }
      #expect(abs(now.rate(atStep: 55) - 1e-3) < 1e-9 && now.rate(atStep: 100) == 0)
      // A run that is to end before the peak only falls.
      now.totalSteps = 10
      if step > 0 { #expect(now.rate(atStep: step) == before.rate(atStep: step)) }
      #expect(now.rate(atStep: 10) == 0)
    }
  }

  @Test func restartedItRisesAndFallsAgain() throws {
    let before = Self.fifty
    var now = before
    let start: ScheduleStart = try #require(before.scheduleStart(.restart, afterSteps: 50))
    now.scheduleStart = start
    now.totalSteps = 100
    for k in 0...50 { #expect(now.rate(atStep: 50 + k) == before.rate(atStep: k)) }
    #expect(!now.isContinued)
  }

  @Test func whatHasFallenToNothingCannotBeContinued() {
    #expect(Self.fifty.scheduleStart(.continue, afterSteps: 50) == nil)
    #expect(Self.fifty.scheduleStart(.restart, afterSteps: 50) == ScheduleStart(step: 50))
    #expect(Self.fifty.scheduleStart(.continue, afterSteps: 0)?.peakStep == 10)
  }

  @Test(arguments: [
    ScheduleStart(step: -1), ScheduleStart(step: 1, share: 2), ScheduleStart(step: 1, share: .nan),
    ScheduleStart(step: 1, share: 1, peakStep: .infinity), ScheduleStart(step: 1, peakStep: 3),
  ])
  func impossibleStartsAreRefused(_ start: ScheduleStart) {
    var c = Self.fifty
    c.scheduleStart = start
    #expect(c.contradiction?.contains("schedule") == true)
    for step in 0...60 { #expect(!(c.rate(atStep: step) < -1)) }
  }

  @Test func roundTrip() throws {
    var c = OptimizerConfiguration(totalSteps: 7)
    c.warmup = 0.3
    c.weightDecay = 0.5
    c.maximumNorm = 2
    c.scheduleStart = ScheduleStart(step: 3, share: 0.1 + 0.2, peakStep: 0.7)
    #expect(try JSONDecoder().decode(OptimizerConfiguration.self, from: JSONEncoder().encode(c)) == c)
  }
}
