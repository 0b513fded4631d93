import Testing

@testable import Model

struct CARATModelTests {
  func initialised(_ seed: UInt64) throws -> (CARATModel, Parameters) {
    let model = CARATModel(ParameterLayoutTests.reference)
    let θ = Parameters(try zeros(1, model.layout.count).base)
    model.initialize(θ, seed: seed)
    return (model, θ)
  }

  /// As the released code draws them: BERT's normal values in the encoders, Xavier's in the MLPs and label attention.
  @Test func initialValues() throws {
    let (model, θ) = try initialised(1)
    for p in model.layout.parameters {
      let x = values(θ[p]).map(Double.init)
      let isEncoder = p.name.contains(".encoder.") || p.name.contains("embeddings") || p.name.contains("pooler")
      let isNorm = p.name.contains("LayerNorm") || p.name.contains("norm2d")
      if isNorm {
        #expect(x.allSatisfy { $0 == (p.name.hasSuffix("weight") ? 1 : 0) }, "\(p.name)")
      } else if isEncoder && p.name.hasSuffix("bias") {
        #expect(x.allSatisfy { $0 == 0 }, "\(p.name)")
      } else if isEncoder {
        let deviation = (x.reduce(0) { $0 + $1 * $1 } / Double(x.count)).squareRoot()
        let mean = x.reduce(0, +) / Double(x.count)
        // Five standard errors.
        let error = 0.02 / Double(x.count).squareRoot()
        #expect(abs(deviation - 0.02) < 5 * error && abs(mean) < 5 * error, "\(p.name)")
      } else {
        let fan =
          p.name.hasSuffix("bias")
          ? model.layout.parameters.first {
            $0.name == p.name.replacing("bias", with: "weight")
          } : p
        let inputs = Double(try #require(fan).columns)
        let isXavier = p.name.hasSuffix("weight") && !p.name.hasSuffix("clf_weight")
        let bound = isXavier ? (6 / (inputs + Double(p.rows))).squareRoot() : 1 / inputs.squareRoot()
        let greatest = x.reduce(0) { max($0, abs($1)) }
        #expect(greatest <= bound * (1 + 1e-6), "\(p.name)")
        // The greatest of n uniform values is below bound (1 − 30/n) with a chance of e^-30.
        #expect(greatest >= bound * (1 - 30 / Double(x.count)), "\(p.name)")
        #expect(x.contains { $0 < 0 } && x.contains { $0 > 0 }, "\(p.name)")
      }
    }
  }

  @Test func initialValuesDependOnSeedAndTensor() throws {
    let ((model, a), (_, again), (_, b)) = (try initialised(1), try initialised(1), try initialised(2))
    let first = try #require(model.trained.first { $0.name == "proj_text.linear.0.weight" })
    let second = try #require(model.trained.first { $0.name == "proj_audio.linear.0.weight" })
    #expect(values(a[first]) == values(again[first]))
    #expect(values(a[first]) != values(b[first]))
    #expect(values(a[first]) != values(a[second]))
  }

  /// Poolers are in every checkpoint and in no computation.
  @Test func poolersAreNotTrained() {
    let model = CARATModel(tinyConfiguration())
    let poolers = model.layout.parameters.filter { $0.name.contains("pooler") }
    #expect(poolers.count == 6 && poolers.allSatisfy { $0.offset >= model.trainedCount })
    #expect(model.trained.count + 6 == model.layout.parameters.count)
  }
}
