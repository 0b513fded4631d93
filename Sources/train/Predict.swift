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

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  private struct Line: Encodable {
    let id: String?
    let sample: Int
    let scores: [String: Float]
    let thresholds: [String: Float]
    let labels: [String]
    let truth: [String]?
  }

  func run() throws {
    let (predictor, split) = try samples.open(runDirectory, workers, mayLackLabels: true)
    let names = predictor.configuration.labelNames
    let text = try TextOutput(path: output)
    if format == .csv {
      let columns =
        (split.ids == nil ? [] : ["id"]) + ["sample"] + names.map { "score_" + $0 } + names.map { "label_" + $0 }
        + names.map { "threshold_" + $0 }
        + (split.hasLabels ? names.map { "truth_" + $0 } : [])
      try text.write(CSV.line(columns))
    }
    let encoder = JSON.encoder()
    try predictor.forEachPrediction(of: split) { own in
      switch format {
      case .csv:
        let predicted = names.map { own.labels.contains($0) ? "1" : "0" } + predictor.thresholds.map { "\($0)" }
        let truth = own.truth.map { truth in names.map { truth.contains($0) ? "1" : "0" } } ?? []
        try text.write(
          CSV.line((own.id.map { [$0] } ?? []) + ["\(own.sample)"] + own.scores.map { "\($0)" } + predicted + truth))
      case .jsonl:
        func byLabel(_ values: [Float]) -> [String: Float] { Dictionary(uniqueKeysWithValues: zip(names, values)) }
        let line = Line(
          id: own.id, sample: own.sample, scores: byLabel(own.scores), thresholds: byLabel(predictor.thresholds),
          labels: own.labels, truth: own.truth)
        try text.write(String(decoding: try encoder.encode(line), as: UTF8.self) + "\n")
      }
    }
    try text.finish()
  }
}
