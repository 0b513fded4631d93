import ArgumentParser
import Files
import Model

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a synthetic data set of CMU-MOSEI's shape.",
    discussion: """
      Labels co-occur; the evidence for each is spread unevenly over modalities and over time; lengths vary. The \
      generator knows each label's exact probability, and so the best micro-F1 that a model can reach: it prints that, \
      and the micro-F1 of always predicting the frequent labels, between which a trained model should lie.
      """)

  @Option("Directory to write train, valid and test.safetensors into.", value: "directory")
  var output: String

  @Option("Seed; the same seed and sizes give the same bytes.", value: "n")
  var seed: UInt64 = 1

  @OptionGroup var generation: GenerationOptions

  @Flag(help: "Print the summary as one JSON object.")
  var json = false

  func validate() throws { _ = try generation.settings() }

  func run() throws {
    var settings = try generation.settings()
    settings.seed = seed
    try SyntheticDataset.check(settings, directory: output)
    try RunDirectory(output).create()
    let summary = try SyntheticDataset.write(settings, to: output)
    if json { return try printJSON(summary) }
    for split in summary.splits {
      try say(
        "\(split.path): \(split.samples) samples; micro-F1 of the frequent labels "
          + "\(fixed(split.frequentLabelsMicroF1, 4)), best reachable \(fixed(split.bestMicroF1, 4)), "
          + "at threshold 0.25 \(fixed(split.microF1AtQuarter, 4))")
    }
  }
}
