/// How often values lie where: buckets of equal width from the least to the greatest.
package struct Histogram {
  package let minimum: Double
  package let maximum: Double
  package let sum: Double
  package let sumOfSquares: Double
  /// Values in each bucket.
  package let counts: [Int]

  package static let buckets = 64

  package var count: Int { counts.reduce(0, +) }

  /// Right ends of the buckets.
  package var limits: [Double] {
    (1...Self.buckets).map { minimum + (maximum - minimum) * Double($0) / Double(Self.buckets) }
  }

  /// Of all values of some buffers; nil where there are none, or one is not finite.
  package init?(of buffers: [UnsafeBufferPointer<Float>]) {
    var (least, most) = (Float.infinity, -Float.infinity)
    var (sum, squares) = (0.0, 0.0)
    for buffer in buffers {
      for value in buffer {
        (least, most) = (min(least, value), max(most, value))
        sum += Double(value)
        squares += Double(value) * Double(value)
      }
    }
    guard least <= most, squares.isFinite else { return nil }
    let (minimum, maximum) = (Double(least), Double(most))
    (self.minimum, self.maximum, self.sum, sumOfSquares) = (minimum, maximum, sum, squares)
    var counts = [Int](repeating: 0, count: Self.buckets)
    let scale = maximum > minimum ? Double(Self.buckets) / (maximum - minimum) : 0
    for buffer in buffers {
      for value in buffer { counts[min(Int((Double(value) - minimum) * scale), Self.buckets - 1)] += 1 }
    }
    self.counts = counts
  }
}
