import Foundation
import TestSupport
import Testing

@testable import Model

struct PositiveWeightsTests {
  @Test func areWrittenAsTheyAreRead() throws {
    for weights in [PositiveWeights.auto, .list([0.5, 3])] {
      let json = try JSONEncoder().encode(weights)
      #expect(try JSONDecoder().decode(PositiveWeights.self, from: json) == weights)
      #expect(PositiveWeights("\(weights)") == weights)
    }
    for text in ["", "1,,2", "1,x", "Auto"] { #expect(PositiveWeights(text) == nil, "'\(text)'") }
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(PositiveWeights.self, from: Data("\"most\"".utf8))
    }
  }

  @Test func balanceTheTrainingSplit() throws {
    let files = try TemporaryDirectory()
    let split = try Teams.TrainerTests.dataset(files).train
    guard case .list(let weights) = PositiveWeights.auto.resolved(for: split) else {
      Issue.record("no weights")
      return
    }
    for (label, weight) in weights.enumerated() {
      let present = (0..<split.count).count { split.labels(ofSample: $0)[label] > 0 }
      #expect(weight * Float(present) == Float(split.count - present) || (present % split.count == 0 && weight == 1))
    }
    #expect(Set(weights).count > 1, "labels that are all as frequent show nothing")
    #expect(PositiveWeights.list([2]).resolved(for: split) == .list([2]))
  }

  @Test func wrongOnesAreRefused() throws {
    var c = RunConfiguration(for: try Teams.TrainerTests.dataset(TemporaryDirectory()))
    for (weights, word) in [([1, 2], "2 weights"), ([1, 0, 1], "above 0"), ([1, .nan, 1], "above 0")]
      as [([Float], String)]
    {
      c.model.positiveWeights = .list(weights)
      #expect(c.contradiction?.contains(word) == true, "\(weights)")
    }
    c.model.positiveWeights = .list([1, 2, 3])
    #expect(c.contradiction == nil)
  }
}
