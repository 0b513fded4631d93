import Foundation
import Testing

@testable import Model

struct ConfigurationTests {
  static let contradictions: [(change: @Sendable (inout ModelConfiguration) -> Void, word: String)] = [
    ({ $0.heads = 4 }, "hidden size 6 is not divisible by 4 heads"), ({ $0.heads = 0 }, "heads"),
    ({ $0.hiddenSize = 0 }, "hidden size"),
    (
      {
        $0.hiddenSize = 1; $0.heads = 1
      }, "hidden size must be at least 2"
    ),
    ({ $0.feedForwardSize = -1 }, "feed-forward size"), ({ $0.latentSize = 0 }, "latent size"),
    ({ $0.labels = 0 }, "labels"), ({ $0.labels = 1 << 21 }, "labels"), ({ $0.modalities = [] }, "one modality"),
    ({ $0.modalities[1].layers = -1 }, "layers of visual"), ({ $0.modalities[0].features = 0 }, "text needs"),
    ({ $0.modalities[2].maximumSteps = 0 }, "audio needs"),
    ({ $0.modalities[1].alignedSteps = 0 }, "visual of at most 3"),
    ({ $0.modalities[1].alignedSteps = 4 }, "aligned to 4"), ({ $0.modalities[2].name = "touch" }, "different letters"),
    ({ $0.queueSize = -1 }, "queue size"), ({ $0.dropout = 1 }, "dropout"), ({ $0.dropout = -0.1 }, "dropout"),
    ({ $0.dropout = .nan }, "dropout"), ({ $0.temperature = 0 }, "temperature"),
    ({ $0.temperature = .nan }, "temperature"),
    ({ $0.prototypeMomentum = 1.5 }, "momentum"), ({ $0.temperature = .infinity }, "temperature"),
    ({ $0.modalities[0].features = .max }, "text has at most"),
    ({ $0.modalities[2].maximumSteps = 1 << 21 }, "audio has at most"),
  ]

  @Test(arguments: contradictions.indices) func contradictionsAreNamed(_ i: Int) {
    var c = tinyConfiguration()
    #expect(c.contradiction == nil)
    Self.contradictions[i].change(&c)
    #expect(c.contradiction?.contains(Self.contradictions[i].word) == true, "\(c.contradiction ?? "none")")
  }

  @Test func extremesThatAreAllowed() {
    var c = tinyConfiguration(modalities: 1, queue: 0)
    c.labels = 1
    c.latentSize = 1
    c.dropout = 0
    c.prototypeMomentum = 0
    #expect(c.contradiction == nil)
  }

  @Test func roundTrip() throws {
    var c = tinyConfiguration(modalities: 4)
    c.anchors = .batch
    c.dropout = 0.125
    c.weights[.betaMSE] = 0.3
    c.padding = .mask
    c.modalities[2].alignedSteps = 2
    let data = try JSONEncoder().encode(c)
    #expect(try JSONDecoder().decode(ModelConfiguration.self, from: data) == c)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect((object["weights"] as? [String: Double])?.count == 9 && object["anchors"] as? String == "batch")
  }

  /// Settings of runs from before there was a choice of padding, or soft alignment.
  @Test func olderConfigurationsDecode() throws {
    let c = tinyConfiguration()
    var object = try #require(
      try JSONSerialization.jsonObject(with: JSONEncoder().encode(c)) as? [String: Any])
    #expect(object.removeValue(forKey: "padding") as? String == "packed")
    let older = try JSONSerialization.data(withJSONObject: object)
    #expect(!String(decoding: older, as: UTF8.self).contains("alignedSteps"))
    #expect(try JSONDecoder().decode(ModelConfiguration.self, from: older) == c)
    object["padding"] = "none"
    let wrong = try JSONSerialization.data(withJSONObject: object)
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(ModelConfiguration.self, from: wrong) }
  }

  @Test func sizesThatFollow() {
    let c = tinyConfiguration(modalities: 4)
    #expect(c.liveRowsPerSample == 36 && c.contrastiveClasses == 24)
  }

  @Test func termsHaveTheReferencesNamesInItsOrder() {
    #expect(
      LossTerm.allCases.map(\.rawValue) == [
        "plain_bce", "alpha_bce", "beta_bce", "contrastive", "reconstruction_mse", "alpha_mse", "beta_mse",
        "aggregate_bce", "shuffled_bce",
      ])
    #expect(LossTerm.allCases.map(\.index) == Array(0..<9))
  }

  @Test func weightsAreTheReleasedOnesUnlessNamed() throws {
    #expect(LossTerm.allCases.map { LossWeights()[$0] } == [0.01, 0.1, 1, 1, 1, 1, 0, 1, 0.1])
    let decoded = try JSONDecoder().decode(LossWeights.self, from: Data(#"{"beta_mse": 0.5}"#.utf8))
    #expect(decoded[.betaMSE] == 0.5 && decoded[.alphaBCE] == 0.1)
    let error = #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(LossWeights.self, from: Data(#"{"gamma_mse": 1}"#.utf8))
    }
    #expect("\(error as Any)".contains("gamma_mse"))
  }
}
