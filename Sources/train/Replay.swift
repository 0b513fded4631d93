import ArgumentParser
import Files
import Model

struct Replay: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Repeat training steps that the PyTorch reference recorded, and compare.",
    discussion: """
      For developers: shows that this program computes what PyTorch does. Prints, per step, the worst relative difference of loss terms, scores and gradients, and at the end of the state \
      and the evaluation scores. Exit status 1 if a term differs by more than 1e-5, or a tensor by more than 1e-4 of \
      its largest magnitude.
      """)

  @Argument(help: ArgumentHelp("Recorded steps (safetensors).", valueName: "file"))
  var files: [String]

  @Flag(help: "Print one JSON object a file.")
  var json = false

  @OptionGroup(title: "Workers") var workers: WorkerOptions

  func run() throws {
    let team = try workers.makeTeam()
    var allPass = true
    for path in files {
      let replay = try Model.Replay(GoldenFile(path: path), team: team)
      allPass = allPass && replay.passes
      if json {
        try printJSON(replay)
        continue
      }
      try say("\(path): \(replay.passes ? "agrees" : "DIFFERS")")
      for (k, step) in replay.steps.enumerated() {
        try say(
          "  step \(k)  terms \(described(step.terms))  scores \(described(step.scores))  "
            + "gradients \(described(step.gradients))")
      }
      try say("  state \(described(replay.state))  evaluation \(described(replay.evaluation))")
    }
    if !allPass { throw ExitCode(1) }
  }

  private func described(_ worst: Model.Replay.Worst) -> String {
    worst.name.isEmpty ? "equal" : "\(worst.difference) (\(worst.name))"
  }
}
