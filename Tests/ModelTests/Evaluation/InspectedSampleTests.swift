import Files
import Foundation
import TestSupport
import Testing

@testable import Model
@testable import Tensor

extension Teams {
  struct InspectedSampleTests {
    /// What is told of a sample against the same from the parameters, in double precision.
    @Test(arguments: [(1, 1), (3, 1), (4, 2)]) func isWhatTheModelMade(_ workers: Int, _ nodes: Int) throws {
      let c = tinyConfiguration()
      let f = try TrainingFixture(c, batchSize: 6, workers: workers, deviation: 0.3, nodes: nodes)
      let θ = f.state.parameters
      let plainScores = Array(f.training.evaluate(f.batch).elements)
      #expect(Array(f.training.evaluate(f.batch, inspects: true).elements) == plainScores)
      var winners = Set<Int>()
      for sample in 0..<6 {
        let own = f.training.inspected(sample)
        for (m, modality) in c.modalities.enumerated() {
          let attention = own.attention(modality: m)
          #expect(attention.rows == c.labels && attention.columns == f.source.length(sample: sample, modality: m))
          for label in 0..<c.labels {
            let sum = (0..<attention.columns).reduce(0.0) { $0 + Double(attention[label, $1]) }
            #expect(abs(sum - 1) < 1e-5)
          }
          for level in Reconstruction.Level.allCases {
            let vectors = own.vectors(level, modality: m)
            let net = f.state.model.heads.reconstruction.modalities[m].project
            let latents = own.latents(level, modality: m)
            for label in 0..<c.labels {
              let expected = Self.unit(Self.mlp(net, (0..<vectors.columns).map { Double(vectors[label, $0]) }, θ))
              for i in 0..<c.latentSize {
                #expect(abs(Double(latents[label, i]) - expected[i]) < 1e-4, "\(level) of \(modality.name)")
              }
            }
          }
        }
        for label in 0..<c.labels {
          let scores = c.modalities.indices.map { m in
            let (beta, weight) = (own.vectors(.beta, modality: m), θ[f.state.model.heads.scores.weights[m]])
            return (0..<c.hiddenSize).reduce(0.0) { $0 + Double(beta[label, $1]) * Double(weight[label, $1]) }
          }
          let winner = own.winner(label: label)
          winners.insert(winner)
          #expect(scores[winner] > (scores.max() ?? 0) - 1e-5, "\(scores), \(winner)")
        }
      }
      #expect(winners.count > 1, "one modality wins always: the test shows nothing")
    }

    private static func unit(_ x: [Double]) -> [Double] {
      let length = x.reduce(0) { $0 + $1 * $1 }.squareRoot()
      return x.map { $0 / length }
    }

    private static func mlp(_ net: MLP, _ x: [Double], _ θ: Parameters) -> [Double] {
      func linear(_ linear: Linear, _ x: [Double]) -> [Double] {
        let (w, b) = (θ[linear.weight], θ[linear.bias])
        return (0..<w.rows).map { i in
          x.indices.reduce(Double(b.elements[i])) { $0 + x[$1] * Double(w[i, $1]) }
        }
      }
      return linear(net.output, net.hidden.map { linear($0, x).map { max($0, 0) } } ?? x)
    }

    /// A file of a whole split, read back.
    @Test func embeddingsAreWritten() throws {
      let files = try TemporaryDirectory()
      let dataset = try TrainerTests.dataset(files)
      let c = TrainerTests.settings(dataset)
      let directory = RunDirectory(files.file("run"))
      _ = try ChangedRunTests().finish(c, dataset, directory)
      let predictor = try Predictor(run: directory.path, workers: 2)
      let split = dataset.train
      let embeddings = try predictor.makeEmbeddings(of: split)
      var predictions: [Predictor.Prediction] = []
      try predictor.forEachPrediction(of: split, explains: true, embeddings: embeddings) { predictions.append($0) }
      let path = files.file("e.safetensors")
      try embeddings.write(to: path)
      let file = try SafetensorsFile(path: path)
      let (N, C) = (split.count, 3)
      #expect(file.metadata["modalities"] == "text,visual,audio")
      #expect(try file.floats("labels", shape: [N, C]).elementsEqual(split.allLabels))
      #expect(try file.floats("scores", shape: [N, C]).elementsEqual(predictions.flatMap(\.scores)))
      for (m, modality) in split.modalities.enumerated() {
        let attention = try file.floats("attention.\(modality.name)", shape: [N, C, modality.steps])
        for sample in 0..<N {
          let length = split.length(sample: sample, modality: m)
          for label in 0..<C {
            let row = (sample * C + label) * modality.steps
            #expect(attention[row + length..<row + modality.steps].allSatisfy { $0 == 0 })
            #expect(abs(attention[row..<row + length].reduce(0, +) - 1) < 1e-5)
          }
        }
        for level in ["plain", "alpha", "beta"] {
          let latents = try file.floats("latent.\(level).\(modality.name)", shape: [N, C, c.model.latentSize])
          let lengths = stride(from: 0, to: latents.count, by: c.model.latentSize).map { first in
            latents[first..<first + c.model.latentSize].reduce(0) { $0 + $1 * $1 }
          }
          #expect(lengths.allSatisfy { abs($0 - 1) < 1e-5 })
          _ = try file.floats("\(level).\(modality.name)", shape: [N, C, c.model.hiddenSize])
        }
        _ = try file.floats("prototypes.\(modality.name)", shape: [2, C, c.model.latentSize])
      }
      // Explanations are of the attention in the file.
      for own in predictions {
        let explanations = try #require(own.explanations)
        #expect(explanations.count == own.labels.count)
        for (label, explanation) in zip(own.labels, explanations) {
          let steps = try #require(split.modalities.first { $0.name == explanation.modality }).steps
          let attention = try file.floats("attention.\(explanation.modality)", shape: [N, C, steps])
          let index = try #require(split.labelNames.firstIndex(of: label))
          let row = attention[(own.sample * C + index) * steps..<(own.sample * C + index + 1) * steps]
          #expect(explanation.steps.first?.weight == row.max())
          #expect(explanation.steps.allSatisfy { row[row.startIndex + $0.step] == $0.weight })
        }
      }
      #expect(predictions.contains { $0.explanations?.isEmpty == false })
    }
  }
}
