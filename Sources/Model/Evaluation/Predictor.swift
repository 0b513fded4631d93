import Files
import Parallel

/// A run's best weights, to score samples with.
public final class Predictor {
  /// A sample's scores and what they predict.
  public struct Prediction: Sendable {
    /// The sample's number in its file, from 0.
    public let sample: Int
    /// What the file calls it, if it does.
    public let id: String?
    /// One of each label, between 0 and 1.
    public let scores: [Float]
    /// Names of those labels whose score is above their threshold.
    public let labels: [String]
    /// Names of those that the sample has; nil where the file has no labels.
    public let truth: [String]?
    /// Why, of each predicted label; nil unless it was asked for.
    public let explanations: [Explanation]?
  }

  /// What a label's prediction rests on.
  public struct Explanation: Sendable, Encodable {
    /// The modality whose score won the max-pooling.
    public let modality: String
    /// Its most attended time steps, of those that the encoder has seen, the most attended first.
    public let steps: [AttendedStep]
  }

  /// A time step, counted from 0, and its share of a label's attention.
  public struct AttendedStep: Sendable, Encodable {
    public let step: Int
    public let weight: Float
  }

  /// The settings of the run.
  public let configuration: RunConfiguration
  /// A label is predicted where its score is above its own of these: those that the weights are kept with, which the run
  /// tuned on its validation split, or else the run's threshold.
  public var thresholds: [Float]
  /// Whether the weights are kept with thresholds.
  public let hasTunedThresholds: Bool

  private let directory: RunDirectory
  private let weights: SafetensorsFile
  private let makeTeam: () throws -> WorkerTeam
  private var made: Evaluator?

  /// Opens a run.
  ///
  /// - Parameters:
  ///   - run: the directory that it wrote to.
  ///   - workers: threads; nil for one a physical core. Scores do not depend on it.
  /// - Throws: `DataError` if its settings or weights are missing or damaged.
  public convenience init(run: String, workers: Int? = nil) throws {
    try self.init(run: run) { WorkerTeam.alone(workers: workers) }
  }

  /// - Parameters:
  ///   - weights: a file of others than the run's best ones.
  ///   - makeTeam: called once the first samples are known to be right.
  package init(run: String, weights: String? = nil, makeTeam: @escaping () throws -> WorkerTeam) throws {
    directory = RunDirectory(run)
    configuration = try directory.readConfiguration()
    try configuration.requireMemory()
    self.weights =
      try weights.map { path throws(DataError) in try SafetensorsFile(path: path) } ?? directory.openBest()
    let kept = try KeptThresholds.read(self.weights, labels: configuration.model.labels)
    hasTunedThresholds = kept != nil
    thresholds = kept ?? Array(repeating: configuration.threshold, count: configuration.model.labels)
    self.makeTeam = makeTeam
  }

  /// Scores samples of the shape that the run was trained on.
  ///
  /// - Parameters:
  ///   - path: a `.safetensors` file; it may lack labels.
  ///   - explains: whether to say what each predicted label rests on.
  /// - Throws: `DataError` if it is wrong, `NonFiniteScores` for scores that are no numbers.
  public func predictions(ofFile path: String, explains: Bool = false) throws -> [Prediction] {
    var predictions: [Prediction] = []
    try forEachPrediction(of: open(path, split: "test", mayLackLabels: true), explains: explains) {
      predictions.append($0)
    }
    return predictions
  }

  /// Gives every sample's prediction to `body`, in their order, as soon as it is made.
  ///
  /// - Parameters:
  ///   - explains: whether to say what each predicted label rests on.
  ///   - embeddings: takes what the model makes of each sample, if given.
  /// - Throws: what `body` throws; `NonFiniteScores`.
  package func forEachPrediction(
    of samples: DatasetSplit, explains: Bool = false, embeddings: SampleEmbeddings? = nil,
    _ body: (Prediction) throws -> Void
  ) throws {
    let names = configuration.labelNames
    let evaluator = try evaluator()
    try evaluator.forEachBatch(of: samples, inspects: embeddings != nil) { numbers, scores in
      for (i, sample) in numbers.enumerated() {
        let own = Array(scores[i * names.count..<(i + 1) * names.count])
        let predicted = names.indices.filter { own[$0] > thresholds[$0] }
        embeddings?.take(evaluator.inspected(i), sample: sample, scores: own)
        try body(
          Prediction(
            sample: sample, id: samples.ids?[sample], scores: own,
            labels: predicted.map { names[$0] },
            truth: samples.hasLabels
              ? zip(names, samples.labels(ofSample: sample)).filter { $1 > 0 }.map(\.0) : nil,
            explanations: explains ? predicted.map { explanation(evaluator.inspected(i), label: $0) } : nil))
      }
    }
  }

  private static let explainedSteps = 3

  private func explanation(_ sample: InspectedSample, label: Int) -> Explanation {
    let winner = sample.winner(label: label)
    let weights = sample.attention(modality: winner).rows(label..<label + 1)
    let steps = (0..<weights.columns).map { AttendedStep(step: $0, weight: weights[0, $0]) }
      .sorted { ($1.weight, $0.step) < ($0.weight, $1.step) }
    return Explanation(
      modality: configuration.model.modalities[winner].name, steps: Array(steps.prefix(Self.explainedSteps)))
  }

  /// Room for what the model makes of some samples.
  ///
  /// - Throws: `MemoryShortage` where it does not fit.
  package func makeEmbeddings(of samples: DatasetSplit) throws -> SampleEmbeddings {
    let evaluator = try evaluator()
    return try SampleEmbeddings(
      configuration, samples: samples,
      prototypes: configuration.model.modalities.indices.map { evaluator.prototypes(modality: $0) })
  }

  /// Measures the run's best weights on labelled samples.
  ///
  /// - Parameter path: a data set's directory, of which the test split is taken, or a file; nil for the run's own data.
  /// - Throws: as `predictions` does.
  public func metrics(on path: String? = nil) throws -> EvaluationMetrics {
    let split = try open(path, split: "test")
    return Evaluator.metrics(try evaluator().scores(of: split), of: split, thresholds: thresholds)
  }

  /// Plans memory and loads the weights, once.
  package func evaluator() throws -> Evaluator {
    if let made { return made }
    let team = try makeTeam()
    let state = try TrainingState(CARATModel(configuration.model), placement: team.placement)
    try state.loadModel(from: weights)
    let evaluator = Evaluator(
      try TrainingStep(
        state, optimizer: configuration.optimizer, batchSize: configuration.samplesAtOnce, team: team,
        seed: configuration.seed))
    made = evaluator
    return evaluator
  }

  /// A split of a data set directory, or a file; its shapes and labels must be those of the run's data.
  package func open(_ path: String?, split: String, mayLackLabels: Bool = false) throws(DataError) -> DatasetSplit {
    let own: String
    if let path {
      own = path
    } else if case .directory(let path) = configuration.data {
      own = path
    } else {
      own = directory.generatedData
    }
    let modalities = configuration.model.modalities
    let isFile = Dataset.isFile(own)
    let opened = try DatasetSplit(
      path: isFile ? own : Dataset.path(of: split, in: own), name: isFile ? nil : split,
      modalities: modalities.map(\.name), labelsIfMissing: mayLackLabels ? configuration.labelNames : nil)
    try opened.requireShape(of: configuration)
    return opened
  }
}
