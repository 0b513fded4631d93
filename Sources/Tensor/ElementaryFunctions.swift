// Exponential, logarithm, sine and cosine of one number out of additions, multiplications and divisions alone, which are
// the same bits everywhere: those of C libraries differ by processor and release. In double precision, as they stand at
// places that are not worth vectorising; methods and coefficients are those of Sun's fdlibm.

/// e^x within 1e-15, relative; 0 below −708, ∞ above 709.
package func exponential(_ x: Double) -> Double {
  if x.isNaN { return x }
  if x > 709 { return .infinity }
  if x < -708 { return 0 }
  // x = n ln 2 + r, ln 2 in two parts; e^r by a rational function of r.
  let n = (x * 1.442_695_040_888_963_4).rounded()
  let (high, low) = (x - n * 6.931_471_803_691_238_16e-01, n * 1.908_214_929_270_587_70e-10)
  let r = high - low
  let z = r * r
  var p = 4.138_136_797_057_238_46e-08
  p = -1.653_390_220_546_525_15e-06 + z * p
  p = 6.613_756_321_437_934_36e-05 + z * p
  p = -2.777_777_777_701_559_34e-03 + z * p
  p = 1.666_666_666_666_660_19e-01 + z * p
  let c = r - z * p
  return Double(sign: .plus, exponent: Int(n), significand: 1 - ((low - r * c / (2 - c)) - high))
}

/// ln x within 1e-15, relative; −∞ at 0, NaN below.
package func logarithm(_ x: Double) -> Double {
  if !(x > 0) { return x == 0 ? -.infinity : .nan }
  if x == .infinity { return x }
  // x = 2^n (1 + f) with 1 + f between √½ and √2; ln(1 + f) = 2 artanh(f / (2 + f)).
  var (n, m) = (Double(x.exponent), x.significand)
  if m > 1.414_213_562_373_095_1 { (n, m) = (n + 1, m / 2) }
  let f = m - 1
  let s = f / (2 + f)
  let z = s * s
  let half = 0.5 * f * f
  var p = 1.479_819_860_511_658_591e-01
  p = 1.531_383_769_920_937_332e-01 + z * p
  p = 1.818_357_216_161_805_012e-01 + z * p
  p = 2.222_219_843_214_978_396e-01 + z * p
  p = 2.857_142_874_366_239_149e-01 + z * p
  p = 3.999_999_999_940_941_908e-01 + z * p
  p = 6.666_666_666_666_735_13e-01 + z * p
  let r = z * p
  return n * 6.931_471_803_691_238_16e-01 - ((half - (s * (half + r) + n * 1.908_214_929_270_587_70e-10)) - f)
}

/// ln x, rounded once.
package func logarithm(_ x: Float) -> Float { Float(logarithm(Double(x))) }

/// Sine and cosine of 2π · `turns`, within 1e-15 for up to a thousand turns.
package func sineAndCosine(turns: Double) -> (sine: Double, cosine: Double) {
  let quarter = (4 * turns).rounded()
  let x = (4 * turns - quarter) * 1.570_796_326_794_896_6
  let z = x * x
  var p = 1.589_690_995_211_550_102e-10
  p = -2.505_076_025_340_686_341e-08 + z * p
  p = 2.755_731_370_707_006_767e-06 + z * p
  p = -1.984_126_982_985_794_931e-04 + z * p
  p = 8.333_333_333_322_489_461e-03 + z * p
  p = -1.666_666_666_666_663_243e-01 + z * p
  let sine = x + x * z * p
  var q = -1.135_964_755_778_819_482e-11
  q = 2.087_572_321_298_174_827e-09 + z * q
  q = -2.755_731_435_139_066_330e-07 + z * q
  q = 2.480_158_728_947_672_941e-05 + z * q
  q = -1.388_888_888_887_410_957e-03 + z * q
  q = 4.166_666_666_666_660_190e-02 + z * q
  let cosine = 1 - (0.5 * z - z * z * q)
  switch Int(quarter) & 3 {
  case 0: return (sine, cosine)
  case 1: return (cosine, -sine)
  case 2: return (-sine, -cosine)
  default: return (-cosine, sine)
  }
}

/// 1 / (1 + e^-x), rounded once.
package func sigmoid(_ x: Float) -> Float { Float(1 / (1 + exponential(-Double(x)))) }

/// ln(1 + e^-|x|), rounded once.
private func logOfOnePlusDecay(_ x: Float) -> Float {
  let t = exponential(-Double(abs(x)))
  let u = 1 + t
  // What 1 + t rounds away is put back.
  let logarithm = u == 1 ? t : logarithm(u) * (t / (u - 1))
  return Float(logarithm)
}

/// Binary cross-entropy of a logit x with a target y of 0 or 1: max(x, 0) − x y + ln(1 + e^-|x|).
///
/// - Parameter w: what it is multiplied by where y is 1, PyTorch's `pos_weight`: (w − 1) y (max(−x, 0) + ln(1 + e^-|x|))
///   is added.
package func binaryCrossEntropy(logit x: Float, target y: Float, positiveWeight w: Float = 1) -> Float {
  let logarithm = logOfOnePlusDecay(x)
  let loss = max(x, 0) - x * y + logarithm
  return w == 1 ? loss : loss + (w - 1) * y * (max(-x, 0) + logarithm)
}

/// The derivative of `binaryCrossEntropy` by x: sigmoid(x) − y − (w − 1) y sigmoid(−x).
package func binaryCrossEntropyGradient(logit x: Float, target y: Float, positiveWeight w: Float = 1) -> Float {
  let gradient = sigmoid(x) - y
  return w == 1 ? gradient : gradient - (w - 1) * y * sigmoid(-x)
}
