import ArgumentParser
import Logging
import Model

/// Sizes of a generated data set. What is not given stays as it is.
struct GenerationOptions: ParsableArguments {
  @Option(
    "Generated samples for training, validation and test.", value: "n,n,n",
    base: listed([defaults.train, defaults.valid, defaults.test]))
  var samples: String?

  @Option(
    "Time steps of the generated sequences, at most, of all or of text, visual and audio; lengths vary.",
    value: "n|n,n,n", base: listed(defaults.steps))
  var steps: String?

  @Option(
    "Features of a time step of the generated text, visual and audio.", value: "n,n,n",
    base: listed(defaults.features))
  var features: String?

  @Option(
    "Labels of the generated samples, 1 to \(SyntheticDataset.maximumLabels).", value: "n",
    base: defaults.labels)
  var labels: Int?

  /// Those that were given.
  var given: [String] {
    [
      ("--samples", samples != nil), ("--steps", steps != nil), ("--features", features != nil),
      ("--labels", labels != nil),
    ]
    .filter(\.1).map(\.0)
  }

  /// Why they don't go with a data set that is there; nil if none was given.
  ///
  /// - Parameter source: what names the data set.
  func contradiction(with source: String) -> String? {
    guard !given.isEmpty else { return nil }
    let names = given.joined(separator: ", ")
    return
      "\(names) \(given.count == 1 ? "is" : "are") of data that the program generates, not of "
      + source
      + (steps == nil
        ? "" : "; --steps are the time steps of a sequence: to end a run after N optimiser steps, --max-steps N")
  }

  func settings(_ base: SyntheticDataset.Settings? = nil) throws -> SyntheticDataset.Settings {
    var settings = base ?? Self.defaults
    if let samples {
      let counts = try wholeNumbers(samples, option: "--samples", in: 1...10_000_000)
      (settings.train, settings.valid, settings.test) = (counts[0], counts[1], counts[2])
    }
    if let features { settings.features = try wholeNumbers(features, option: "--features", in: 1...100_000) }
    set(&settings.labels, labels)
    let limit = SyntheticDataset.maximumLabels
    guard (1...limit).contains(settings.labels) else {
      throw ValidationError("--labels must be between 1 and \(limit), not \(settings.labels).")
    }
    guard settings.features.allSatisfy({ $0 >= settings.labels }) else {
      if features == nil {
        throw ValidationError(
          "--labels must be at most the features of every modality, \(settings.features.min() ?? 0), not "
            + "\(settings.labels).")
      }
      throw ValidationError(
        "--features must each be at least the number of labels, \(settings.labels), not "
          + settings.features.map(String.init).joined(separator: ",") + ".")
    }
    if let steps { settings.steps = try wholeNumbers(steps, oneForAll: true, option: "--steps", in: 1...100_000) }
    return settings
  }

  private static func listed(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: ",") }

  private static var defaults: SyntheticDataset.Settings {
    var settings = SyntheticDataset.Settings()
    (settings.train, settings.valid, settings.test) = (1024, 256, 512)
    return settings
  }
}

/// Which samples of a data set to score.
struct ScoredDataOptions: ParsableArguments {
  enum Split: String, ExpressibleByArgument, CaseIterable {
    case train, valid, test
  }

  @Option("Data set directory, or one .safetensors file; by default the run's data set.", value: "path")
  var data: String?

  @Option("Which split, where --data is a directory.", value: "split")
  var split = Split.test

  @Option(
    "A label is predicted where its score is above this; by default those that --tune-threshold kept with the "
      + "weights, or else what the run was given.", value: "score")
  var threshold: Float?

  @Option("Weights instead of the run's best ones, such as scripts/weights makes of a PyTorch file.", value: "file")
  var weights: String?

  /// The run and the samples: all files are opened and checked before memory is planned.
  func open(_ run: String, _ workers: WorkerOptions, mayLackLabels: Bool = false) throws -> (Predictor, DatasetSplit) {
    let predictor = try Predictor(run: run, weights: weights) { try workers.makeTeam() }
    if let threshold {
      predictor.thresholds = predictor.thresholds.map { _ in threshold }
    } else if predictor.hasTunedThresholds {
      let names = zip(predictor.configuration.labelNames, predictor.thresholds)
      Logger(label: "carat.thresholds").notice(
        "thresholds that the run tuned on its validation split: \(names.map { "\($0) \(fixed(Double($1), 3))" }.joined(separator: ", "))"
      )
    }
    return (predictor, try predictor.open(data, split: split.rawValue, mayLackLabels: mayLackLabels))
  }

  func validate() throws {
    if let threshold, !(threshold >= 0 && threshold <= 1) {
      throw ValidationError("--threshold must be between 0 and 1, not \(threshold).")
    }
  }
}
