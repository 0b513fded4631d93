/// Where a batch's samples come from: a data set's split, or a recorded step.
package protocol SampleSource: Sendable {
  /// Samples.
  var count: Int { get }
  /// T, time steps of a modality's sequences, padding included.
  func steps(modality: Int) -> Int
  /// Time steps of a sample that count, from 1 on; what is behind them is padding.
  func length(sample: Int, modality: Int) -> Int
  /// Of a modality that is soft-aligned: aligned steps of a sample that count. Nil for all of them, as with data sets,
  /// whose lengths are of raw steps: soft alignment reads those to the end.
  func alignedLength(sample: Int, modality: Int) -> Int?
  /// C labels of 0/1.
  func labels(ofSample sample: Int) -> UnsafeBufferPointer<Float>
  /// Copies the first `steps` time steps, F features each.
  func copyFeatures(sample: Int, modality: Int, steps: Int, into target: UnsafeMutablePointer<Float>)
  /// Hears which samples will be asked for next, and which are done with; returns at once.
  func prepare(_ next: some Collection<Int>, done: some Collection<Int>)
}

extension SampleSource {
  package func prepare(_ next: some Collection<Int>, done: some Collection<Int>) {}
  package func alignedLength(sample: Int, modality: Int) -> Int? { nil }
}
