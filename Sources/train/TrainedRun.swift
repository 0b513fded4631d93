import Files
import Model
import Parallel

/// A run, opened to score samples with its best weights.
struct TrainedRun {
  let configuration: RunConfiguration
  let evaluator: Evaluator
  let samples: DatasetSplit
  let threshold: Float

  /// Opens and checks all files before memory is planned.
  init(_ path: String, scoring options: ScoredDataOptions, workers: WorkerOptions, mayLackLabels: Bool = false) throws {
    let directory = RunDirectory(path)
    configuration = try directory.readConfiguration()
    try configuration.requireMemory()
    let weights =
      try options.weights.map { path throws(DataError) in try SafetensorsFile(path: path) } ?? directory.openBest()
    let data =
      switch (options.data, configuration.data) {
      case (let path?, _): path
      case (nil, .directory(let path)): path
      case (nil, _): directory.generatedData
      }
    samples = try Self.open(data, options.split, configuration, mayLackLabels: mayLackLabels)
    threshold = options.threshold ?? configuration.threshold

    let team = try workers.makeTeam()
    let state = try TrainingState(CARATModel(configuration.model), placement: team.placement)
    try state.loadModel(from: weights)
    evaluator = Evaluator(
      try TrainingStep(
        state, optimizer: configuration.optimizer, batchSize: configuration.batchSize, team: team,
        seed: configuration.seed))
  }

  /// A split of a data set directory, or a file; its shapes and labels must be those of the run's data.
  private static func open(
    _ data: String, _ split: ScoredDataOptions.Split, _ configuration: RunConfiguration, mayLackLabels: Bool
  ) throws -> DatasetSplit {
    let modalities = configuration.model.modalities
    let isFile = Dataset.isFile(data)
    let opened = try DatasetSplit(
      path: isFile ? data : Dataset.path(of: split.rawValue, in: data),
      name: isFile ? nil : split.rawValue, modalities: modalities.map(\.name),
      labelsIfMissing: mayLackLabels ? configuration.labelNames : nil)
    for (own, found) in zip(modalities, opened.modalities)
    where found.features != own.features || found.steps > own.maximumSteps {
      throw DataError(
        file: opened.path, expected: "\(own.name) of at most \(own.maximumSteps) steps of \(own.features) features",
        found: "\(found.steps) steps of \(found.features)", remedy: "use data of the shape that the run was trained on")
    }
    guard opened.labelNames == configuration.labelNames else {
      throw DataError(
        file: opened.path, expected: "the labels \(configuration.labelNames.joined(separator: ","))",
        found: opened.labelNames.joined(separator: ","), remedy: "use data with the labels that the run was trained on")
    }
    return opened
  }
}
