import Tensor

/// The samples of one step, by their numbers in a source, and the step's shuffle. Features are copied by the workers.
package final class Batch: @unchecked Sendable {
  // Proof of Sendable: one thread fills it between steps; workers only read.

  private var filledFrom: (any SampleSource)?
  package private(set) var count = 0
  private let samples: UnsafeMutablePointer<Int>
  package let capacity: Int
  /// [B, C] of 0/1.
  let labels: Matrix
  private let labelMemory: Buffer
  package let shuffle: Shuffle

  private let modalities: [ModelConfiguration.Modality]
  private let padding: ModelConfiguration.Padding

  package init(_ c: ModelConfiguration, capacity: Int) {
    self.capacity = capacity
    (modalities, padding) = (c.modalities, c.padding)
    samples = .allocate(capacity: capacity)
    samples.initialize(repeating: 0, count: capacity)
    let memory = Buffer(count: capacity * c.labels)
    labels = memory.matrix(rows: capacity, columns: c.labels)
    labelMemory = memory
    shuffle = Shuffle(batch: capacity, modalities: c.modalities.count, labels: c.labels)
  }

  deinit { samples.deallocate() }

  /// Takes other samples of a source; the shuffle stays as it is.
  package func fill(_ numbers: some Collection<Int>, of source: any SampleSource) {
    precondition(numbers.count <= capacity, "\(numbers.count) samples in a batch of \(capacity)")
    filledFrom = source
    count = numbers.count
    for (i, number) in numbers.enumerated() {
      samples[i] = number
      let y = source.labels(ofSample: number)
      for c in 0..<labels.columns { labels[i, c] = y[c] }
    }
  }

  /// Where its samples are.
  private var source: any SampleSource {
    guard let filledFrom else { preconditionFailure("a batch that was not filled") }
    return filledFrom
  }

  /// The numbers in the source of the samples in some places.
  func numbers(_ places: Range<Int>) -> [Int] { places.map { samples[$0] } }

  /// T, raw steps of a modality's sequences, padding included.
  func steps(modality: Int) -> Int { source.steps(modality: modality) }

  /// How many steps of a sample the encoder has rows for, and how many of them are not padding.
  package func encodedSteps(sample: Int, modality: Int) -> (length: Int, rows: Int) {
    let aligned = modalities[modality].alignedSteps
    let all = aligned ?? source.steps(modality: modality)
    if padding == .attend { return (all, all) }
    let length =
      aligned == nil
      ? source.length(sample: samples[sample], modality: modality)
      : source.alignedLength(sample: samples[sample], modality: modality) ?? all
    return (length, padding == .mask ? all : length)
  }

  /// Raw features of a sample's first steps, as many as there are rows, [rows, F].
  func copyFeatures(sample: Int, modality: Int, into rows: Matrix) {
    source.copyFeatures(sample: samples[sample], modality: modality, steps: rows.rows, into: rows.base)
  }
}
