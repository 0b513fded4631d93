import Model
import Parallel

/// A finished run, opened to score samples with its best weights.
struct TrainedRun {
  let configuration: RunConfiguration
  let evaluator: Evaluator

  init(_ path: String, workers: WorkerOptions) throws {
    let directory = RunDirectory(path)
    configuration = try directory.readConfiguration()
    let team = workers.makeTeam()
    let state = try TrainingState(CARAT(configuration.model), placement: team.placement)
    try state.loadWeights(from: SafetensorsFile(path: directory.best))
    let plan = try ShardPlan(
      batchSize: configuration.batchSize, shards: workers.shards ?? configuration.shards, workers: team.count)
    let step = try TrainingStep(
      state, optimizer: configuration.optimizer, plan: plan, team: team, seed: configuration.seed)
    evaluator = Evaluator(step)
  }

  /// A split of a data set directory, or a file; its shapes must be those of the run's data.
  func open(data: String, split: String) throws -> DatasetSplit {
    let modalities = configuration.model.modalities
    let names = modalities.map(\.name)
    let opened =
      data.hasSuffix(".safetensors")
      ? try DatasetSplit(path: data, modalities: names)
      : try DatasetSplit(path: data + "/\(split).safetensors", name: split, modalities: names)
    for (own, found) in zip(modalities, opened.modalities)
    where found.features != own.features || found.steps > own.maximumSteps {
      throw DataError(
        file: opened.path, expected: "\(own.name) of at most \(own.maximumSteps) steps of \(own.features) features",
        found: "\(found.steps) steps of \(found.features)", remedy: "use data of the shape that the run was trained on")
    }
    guard opened.labelCount == configuration.model.labels else {
      throw DataError(
        file: opened.path, expected: "\(configuration.model.labels) labels", found: "\(opened.labelCount)",
        remedy: "use data with the labels that the run was trained on")
    }
    return opened
  }
}
