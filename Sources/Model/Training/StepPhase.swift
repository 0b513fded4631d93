/// What workers do in a step, or an evaluation, between two barriers; and what they do else.
enum StepPhase: Int, CaseIterable {
  case packing, keyEncoders, keyLatents, encodersForward, headsForward
  /// Of an evaluation.
  case aggregation, scores
  /// Of a step that is repeated to find what is not finite.
  case search
  case packingRows, statistics, anchorFactors, contrastiveGradient
  case headsBackward, encodersBackward, weightGradients
  /// Of a rank's nodes, of several ranks.
  case combining
  case allReduce, update, queueAndPrototypes
  /// Checksums of what was computed.
  case audit
  /// Messages to and from other ranks, but for those that travel while something else is computed.
  case communication
  /// For the other workers.
  case wait

  /// As timelines, records and messages call it.
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
    case .audit: "audit"
    case .communication: "communication"
    case .wait: "wait"
    }
  }
}

/// One of a step's phases.
struct Stage: Equatable, Sendable {
  let phase: StepPhase
  /// Of the phases that go through the encoders.
  let microBatch: Int
  /// A turn of backward, or a segment of the parameters, where there are several.
  let part: Int
}
