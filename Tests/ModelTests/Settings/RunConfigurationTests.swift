import Foundation
import Parallel
import TestSupport
import Testing

@testable import Model

struct RunConfigurationTests {
  func dataset(_ directory: TemporaryDirectory) throws -> Dataset {
    for split in ["train", "valid", "test"] { try SampleFile().write(to: directory.file(split + ".safetensors")) }
    return try Dataset(directory: directory.path)
  }

  @Test func takesTheDatasShapes() throws {
    let directory = try TemporaryDirectory()
    let c = RunConfiguration(for: DatasetShape(of: try dataset(directory).train))
    #expect(c.model.modalities.map(\.name) == ["text", "visual", "audio"])
    #expect(c.model.modalities.map(\.features) == [2, 35, 1] && c.model.modalities.map(\.maximumSteps) == [3, 3, 3])
    #expect(c.labelNames == ["calm", "tense"])
    #expect(c.model.labels == 2)
    #expect(try JSONDecoder().decode(RunConfiguration.self, from: JSONEncoder().encode(c)) == c)
  }

  static let contradictions: [(change: @Sendable (inout RunConfiguration) -> Void, word: String)] = [
    ({ $0.batchSize = 0 }, "batch size"), ({ $0.batchSize = 6 }, "at most 4"), ({ $0.epochs = 0 }, "epochs"),
    ({ $0.optimizer.weightDecay = -1 }, "weight decay"),
    ({ $0.labelNames = [] }, "0 label names"),
    ({ $0.optimizer.learningRate = 0 }, "learning rate"), ({ $0.optimizer.learningRate = .nan }, "learning rate"),
    ({ $0.optimizer.warmup = 1 }, "warm-up"), ({ $0.threshold = 1.5 }, "threshold"),
    ({ $0.model.weights[.alphaMSE] = .infinity }, "alpha_mse"), ({ $0.model.heads = 3 }, "divisible"),
    ({ $0.optimizer.maximumNorm = .nan }, "maximum norm"), ({ $0.optimizer.maximumNorm = 0 }, "maximum norm"),
    ({ $0.labelNames = $0.labelNames.map { _ in "a" } }, "two labels"), ({ $0.maxSteps = 0 }, "maximum steps"),
    ({ $0.maxSteps = 1 << 31 }, "maximum steps"),
  ]

  @Test(arguments: contradictions.indices) func contradictionsAreNamed(_ i: Int) throws {
    let directory = try TemporaryDirectory()
    let dataset = try dataset(directory)
    var c = RunConfiguration(for: DatasetShape(of: dataset.train))
    c.batchSize = 4
    #expect(c.contradiction(trainingSamples: dataset.train.count) == nil)
    Self.contradictions[i].change(&c)
    let found = c.contradiction(trainingSamples: dataset.train.count)
    #expect(found?.contains(Self.contradictions[i].word) == true, "\(found ?? "none")")
  }
}
