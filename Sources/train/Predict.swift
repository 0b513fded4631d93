import ArgumentParser
import Files
import Foundation
import Model
import Tensor

struct Predict: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score samples with a run's best weights: scores and predicted labels as CSV or JSON Lines.",
    discussion: """
      A score lies between 0 and 1. Samples are numbered from 0, in the file's order, and named by their ids where the \
      file has the tensor ids. The file may lack labels.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case csv, jsonl
  }

  @Argument(help: ArgumentHelp("The --output directory of a run.", valueName: "run"))
  var runDirectory: String

  @OptionGroup var samples: ScoredDataOptions

  @Option("File to write; by default the standard output.", value: "file")
  var output: String?

  @Option(
    "csv: columns id (where there are ids), sample, score_…, label_… (0 or 1), threshold_… and, where the samples have labels, "
      + "truth_… of each label; jsonl: one JSON object a sample.", value: "format"
  )
  var format = Format.csv

  @Flag(
    help: ArgumentHelp(
      "Say what each predicted label rests on: the modality that won the max-pooling, and its most attended time steps "
        + "(CSV: columns modality_… and steps_…; jsonl: explanations)."))
  var explain = false

  @Option(
    "File (.safetensors) for what the model makes of each sample: plain, alpha and beta vectors, latents, label-wise attention, "
      + "of each modality; prototypes, scores, labels.", value: "file")
  var embeddings: String?

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func validate() throws {
    if let embeddings, !embeddings.hasSuffix(".safetensors") {
      throw ValidationError("--embeddings writes a .safetensors file, not '\(embeddings)'.")
    }
  }

  private struct Line: Encodable {
    let id: String?
    let sample: Int
    let scores: [String: Float]
    let thresholds: [String: Float]
    let labels: [String]
    let truth: [String]?
    let explanations: [String: Predictor.Explanation]?
  }

  func run() throws {
    let (predictor, split) = try samples.open(runDirectory, workers, mayLackLabels: true)
    let names = predictor.configuration.labelNames
    if let embeddings, FileManager.default.fileExists(atPath: embeddings) {
      throw DataError(
        .creation, file: embeddings, expected: "no file yet", found: "one", remedy: "remove it, or choose another name")
    }
    let collected = try embeddings.map { _ in try predictor.makeEmbeddings(of: split) }
    let text = try TextOutput(path: output)
    if format == .csv {
      let columns =
        (split.ids == nil ? [] : ["id"]) + ["sample"] + names.map { "score_" + $0 } + names.map { "label_" + $0 }
        + names.map { "threshold_" + $0 }
        + (split.hasLabels ? names.map { "truth_" + $0 } : [])
        + (explain ? names.map { "modality_" + $0 } + names.map { "steps_" + $0 } : [])
      try text.write(CSV.line(columns))
    }
    let encoder = JSON.encoder()
    try predictor.forEachPrediction(of: split, explains: explain, embeddings: collected) { own in
      let explanations = own.explanations.map { Dictionary(uniqueKeysWithValues: zip(own.labels, $0)) }
      switch format {
      case .csv:
        let predicted = names.map { own.labels.contains($0) ? "1" : "0" } + predictor.thresholds.map { "\($0)" }
        let truth = own.truth.map { truth in names.map { truth.contains($0) ? "1" : "0" } } ?? []
        let reasons = explanations.map { reasons in
          names.map { reasons[$0]?.modality ?? "" }
            + names.map { reasons[$0]?.steps.map { "\($0.step):\($0.weight)" }.joined(separator: " ") ?? "" }
        }
        try text.write(
          CSV.line(
            (own.id.map { [$0] } ?? []) + ["\(own.sample)"] + own.scores.map { "\($0)" } + predicted + truth
              + (reasons ?? [])))
      case .jsonl:
        func byLabel(_ values: [Float]) -> [String: Float] { Dictionary(uniqueKeysWithValues: zip(names, values)) }
        let line = Line(
          id: own.id, sample: own.sample, scores: byLabel(own.scores), thresholds: byLabel(predictor.thresholds),
          labels: own.labels, truth: own.truth, explanations: explanations)
        try text.write(String(decoding: try encoder.encode(line), as: UTF8.self) + "\n")
      }
    }
    try text.finish()
    if let embeddings { try collected?.write(to: embeddings) }
  }
}
