/// How thresholds are found on labelled samples, which should be others than those that are then measured.
public enum ThresholdTuning: String, Codable, Sendable, CaseIterable {
  /// One for all labels, of the highest micro-F1.
  case global
  /// One a label, of its highest F1.
  case label

  /// Scores and labels [N, C], row-major, of C labels.
  ///
  /// - Parameter fallback: for labels that no sample has, of which nothing can be found.
  /// - Returns: C thresholds.
  package func thresholds(scores: [Float], labels: [Float], labelCount: Int, fallback: Float) -> [Float] {
    func best(_ scores: [Float], _ labels: [Float]) -> Float {
      labels.contains { $0 > 0 } ? BestThreshold(scores: scores, labels: labels).threshold : fallback
    }
    switch self {
    case .global: return Array(repeating: best(scores, labels), count: labelCount)
    case .label:
      return (0..<labelCount).map { label in
        let column = stride(from: label, to: scores.count, by: labelCount)
        return best(column.map { scores[$0] }, column.map { labels[$0] })
      }
    }
  }
}
