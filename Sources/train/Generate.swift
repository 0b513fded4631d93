import ArgumentParser
import Model

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a synthetic data set of MOSEI's shape.",
    discussion: """
      Labels co-occur; the evidence for each is spread unevenly over modalities and over time; lengths vary. The \
      generator knows the best micro-F1 that any model can reach, and prints it.
      """)

  @Option(help: "Directory to write train, valid and test.safetensors into.")
  var output: String

  @Option(help: "Seed; the same seed gives the same bytes.")
  var seed: UInt64 = 1

  @OptionGroup var generation: GenerationOptions

  @Flag(help: "Print the summary as one JSON object.")
  var json = false

  func run() throws {
    let settings = try generation.settings(seed: seed)
    try RunDirectory(output).create()
    let summary = try SyntheticDataset.write(settings, to: output)
    if json { return try printJSON(summary) }
    for split in summary.splits {
      print("\(split.path): \(split.samples) samples, best reachable micro-F1 \(fixed(split.bestMicroF1, 4))")
    }
  }
}
