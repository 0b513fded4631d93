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
    "csv: columns id (where there are ids), sample, score_… and label_… (0 or 1) of each label; jsonl: one JSON object a "
      + "sample.", value: "format"
  )
  var format = Format.csv

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  private struct Line: Encodable {
    let id: String?
    let sample: Int
    let scores: [String: Float]
    let labels: [String]
  }

  func run() throws {
    let (predictor, split) = try samples.open(runDirectory, workers, mayLackLabels: true)
    let (names, ids, threshold) = (predictor.configuration.labelNames, split.ids, predictor.threshold)
    let text = try TextOutput(path: output)
    if format == .csv {
      let columns = (ids == nil ? [] : ["id"]) + ["sample"] + names.map { "score_" + $0 } + names.map { "label_" + $0 }
      try text.write(CSV.line(columns))
    }
    let encoder = JSON.encoder()
    try predictor.evaluator().forEachBatch(of: split) { samples, scores in
      for (i, sample) in samples.enumerated() {
        let row = scores[i * names.count..<(i + 1) * names.count]
        let id = ids?[sample]
        switch format {
        case .csv:
          let predicted = row.map { $0 > threshold ? "1" : "0" }
          try text.write(CSV.line((id.map { [$0] } ?? []) + ["\(sample)"] + row.map { "\($0)" } + predicted))
        case .jsonl:
          let named = Array(zip(names, row))
          let line = Line(
            id: id, sample: sample, scores: Dictionary(named, uniquingKeysWith: { first, _ in first }),
            labels: named.filter { $0.1 > threshold }.map(\.0))
          try text.write(String(decoding: try encoder.encode(line), as: UTF8.self) + "\n")
        }
      }
    }
    try text.finish()
  }
}
