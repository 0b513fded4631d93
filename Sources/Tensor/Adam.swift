/// BERT's Adam over a run of elements: no bias correction, decoupled weight decay.
package struct Adam: Sendable {
  // Double, because 1 − 0.999 in single precision is off by 5e-5 of itself.
  package var firstDecay = 0.9
  package var secondDecay = 0.999
  package var epsilon: Float = 1e-6

  package init() {}

  /// With g = gradientScale · gradient: m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²,
  /// θ ← θ − rate (m / (√v + ε) + weightDecay θ).
  package func update(
    _ parameters: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>, first: UnsafeMutablePointer<Float>,
    second: UnsafeMutablePointer<Float>, count: Int, gradientScale: Float, rate: Float, weightDecay: Float
  ) {
    let (b1, b2) = (Floats(Float(firstDecay)), Floats(Float(secondDecay)))
    let (c1, c2) = (Floats(Float(1 - firstDecay)), Floats(Float(1 - secondDecay)))
    @inline(__always) func step(_ i: Int, _ lanes: Int) {
      let g = load(gradient + i, lanes: lanes) * Floats(gradientScale)
      let m = (load(first + i, lanes: lanes) * b1).addingProduct(g, c1)
      let v = (load(second + i, lanes: lanes) * b2).addingProduct(g * g, c2)
      store(m, first + i, lanes: lanes)
      store(v, second + i, lanes: lanes)
      let θ = load(parameters + i, lanes: lanes)
      let step = (m / (squareRoot(v) + Floats(epsilon))).addingProduct(θ, Floats(weightDecay))
      store(θ.addingProduct(step, Floats(-rate)), parameters + i, lanes: lanes)
    }
    forEachVector(count, step)
  }
}
