/// A sample whose scores are no numbers: no metric can be taken of them.
public struct NonFiniteScores: Error, CustomStringConvertible, Sendable {
  /// Its number in its source.
  public let sample: Int
  /// The file of the samples, if they are a data set's.
  public let file: String?
  /// The first parameter of the model that is not finite; nil if the scores' cause lies with the sample.
  public let parameter: String?

  public var description: String {
    (file.map { "\($0): " } ?? "") + "the scores of sample \(sample) are not finite numbers; "
      + (parameter.map { "the cause is \($0) of the model, which is not finite either: use the weights of another run" }
        ?? "its features are too large for this model: scale them as those of the training split, or remove the sample")
  }
}
