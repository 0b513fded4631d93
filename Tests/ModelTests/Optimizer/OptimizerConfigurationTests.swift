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

  @Test func roundTrip() throws {
    var c = OptimizerConfiguration(totalSteps: 7)
    c.warmup = 0.3
    c.weightDecay = 0.5
    c.maximumNorm = 2
    #expect(try JSONDecoder().decode(OptimizerConfiguration.self, from: JSONEncoder().encode(c)) == c)
  }
}
