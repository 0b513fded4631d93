/// A phase of a step in which every worker writes its own part, up to the barrier that ends it.
enum Stage: Equatable, Sendable {
  case packing, keyLatents, headsForward
  case keyEncoders(microBatch: Int)
  case encodersForward(microBatch: Int)
  /// Of an evaluation.
  case aggregation, scores
  /// Of a step that is repeated to find what is not finite.
  case search
  case packingRows, statistics, anchorFactors, contrastiveGradient, headsBackward
  case encodersBackward(microBatch: Int, turn: Int)
  case weightGradients(microBatch: Int, segment: Int)
  /// A rank's nodes, of several.
  case combining(segment: Int)
  case allReduce
  case update(segment: Int)
  case queueAndPrototypes

  /// As timelines and messages call it.
  var name: String {
    switch self {
    case .packing: "packing"
    case .keyEncoders: "key encoders"
    case .keyLatents: "key latents"
    case .encodersForward: "encoders forward"
    case .headsForward: "heads forward"
    case .aggregation: "aggregation"
    case .scores: "scores"
    case .search: "search"
    case .packingRows: "packing rows"
    case .statistics: "contrastive statistics"
    case .anchorFactors: "anchor factors"
    case .contrastiveGradient: "contrastive gradient"
    case .headsBackward: "heads backward"
    case .encodersBackward: "encoders backward"
    case .weightGradients: "weight gradients"
    case .combining: "combining gradients"
    case .allReduce: "all-reduce"
    case .update: "update"
    case .queueAndPrototypes: "queue and prototypes"
    }
  }
}
