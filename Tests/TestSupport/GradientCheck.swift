import Tensor

/// Compares gradients that a backward pass gave with finite differences of the loss.
///
/// A derivative is taken from central differences D at steps h and h/2, extrapolated to 0: (4 D(h/2) − D(h)) / 3, which
/// errs by O(h⁴) and by about 100 times the loss's own rounding at h = 1/64. Rectifiers and maxima have kinks, where no
/// finite difference is right. A kink within h is seen in the values of the loss alone: D(h) and D(h/2) disagree, or
/// the gap between the one-sided slopes, which is h times the curvature, does not halve with h. Such elements are left
/// out; a check passes only if they are at most a third of all.
package struct GradientCheck: CustomStringConvertible {
  /// The worst difference that passes, relative to the tensor's largest gradient.
  package let tolerance: Double
  package let step: Float
  /// Tensors of smaller gradients than this are compared as if their largest were this: the loss's rounding sets it.
  package let floor: Double

  package private(set) var worst = 0.0
  package private(set) var worstName = ""
  package private(set) var compared = 0
  package private(set) var kinks = 0

  package init(tolerance: Double, step: Float = 0x1p-6, floor: Double = 0.02) {
    self.tolerance = tolerance
    self.step = step
    self.floor = floor
  }

  /// Compares the gradient of one thing.
  package static func of(
    _ x: Matrix, _ gradient: Matrix, tolerance: Double, loss: () -> Double
  ) -> GradientCheck {
    var check = GradientCheck(tolerance: tolerance)
    check.compare("x", x, gradient, loss: loss)
    return check
  }

  package var passes: Bool { worst < tolerance && compared > 0 && 3 * kinks <= compared }

  package var description: String {
    "worst difference \(worst) (\(worstName)), \(kinks) of \(compared) elements at kinks"
  }

  /// Compares one tensor.
  ///
  /// - Parameters:
  ///   - x: what the loss depends on; changed and restored.
  ///   - gradient: d loss/d x as backward gave it, not changed by `loss`.
  ///   - limit: how many elements are compared, drawn at random; all if there are not more.
  ///   - loss: the whole forward pass.
  package mutating func compare(
    _ name: String, _ x: Matrix, _ gradient: Matrix, atMost limit: Int = .max, seed: UInt64 = 1, loss: () -> Double
  ) {
    precondition(x.rows == gradient.rows && x.columns == gradient.columns, "shapes differ")
    var magnitude = floor
    for i in 0..<x.rows {
      for j in 0..<x.columns {
        magnitude = max(magnitude, abs(Double(gradient[i, j])))
        if gradient[i, j].isNaN { (worst, worstName) = (.nan, "\(name)[\(i), \(j)]") }
      }
    }
    let base = loss()
    for element in Self.draw(limit, of: x.count, seed: seed) {
      let (i, j) = (element / x.columns, element % x.columns)
      let value = x[i, j]
      func slopes(_ h: Float) -> (above: Double, below: Double) {
        x[i, j] = value + h
        let above = (loss() - base) / (Double(x[i, j]) - Double(value))
        x[i, j] = value - h
        let below = (base - loss()) / (Double(value) - Double(x[i, j]))
        x[i, j] = value
        return (above, below)
      }
      let (whole, half) = (slopes(step), slopes(step / 2))
      let (far, near) = ((whole.above + whole.below) / 2, (half.above + half.below) / 2)
      let bend = (whole.above - whole.below) - 2 * (half.above - half.below)
      let scale = max(magnitude, abs(near))
      compared += 1
      // A kink that turns the slope by J is passed over only if J < 1.5 tolerance: it errs by J/2 at most.
      if abs(far - near) > tolerance / 6 * scale || abs(bend) > tolerance / 2 * scale {
        kinks += 1
        continue
      }
      let difference = abs((4 * near - far) / 3 - Double(gradient[i, j])) / scale
      // NaN is worse than anything and stays: nothing is greater than it.
      if difference > worst || difference.isNaN { (worst, worstName) = (difference, "\(name)[\(i), \(j)]") }
    }
  }

  /// Different elements, all of them or as many as the limit.
  private static func draw(_ limit: Int, of count: Int, seed: UInt64) -> [Int] {
    if count <= limit { return Array(0..<count) }
    let key = RandomKey(seed: seed)
    var (chosen, counter) = (Set<Int>(), UInt32(0))
    while chosen.count < limit {
      let (a, b) = key.words(0, counter)
      chosen.insert(Int((UInt64(a) << 32 | UInt64(b)) % UInt64(count)))
      counter += 1
    }
    return chosen.sorted()
  }
}
