import Parallel
import Tensor

/// Contrastive feature reconstruction of all modalities:
/// latent = project(plain), reconstructed = decode(latent), intrinsic = decode(mixed prototypes);
/// alpha_m = fuse_m(intrinsic of m, reconstructions of the others), beta_m = fuse_m(all alphas);
/// and latents of alpha and beta by the same projection.
struct Reconstruction {
  /// The three MLPs of one modality.
  struct Networks {
    let project: MLP
    let decode: MLP
    let fuse: MLP
  }

  let modalities: [Networks]
  let labels: Int

  init(_ c: ModelConfiguration, in layout: inout ParameterLayout) {
    let (D, P, M) = (c.hiddenSize, c.latentSize, c.modalities.count)
    labels = c.labels
    let names = c.modalities.map(\.name)
    modalities = names.indices.map { m in
      Networks(
        project: MLP("proj_" + names[m], inputs: D, hiddenSize: D / 2, outputs: P, in: &layout),
        decode: MLP("de_proj_" + names[m], inputs: P, hiddenSize: D / 2, outputs: D, in: &layout),
        fuse: MLP(Self.fusionName(names, m), inputs: M * D, outputs: D, in: &layout))
    }
  }

  /// The released code's name of the map that makes modality m out of the others: "va2t" makes text.
  static func fusionName(_ names: [String], _ m: Int) -> String {
    let initials = names.map { String($0.prefix(1)) }
    return initials.enumerated().filter { $0.offset != m }.map(\.element).joined() + "2" + initials[m]
  }

  /// Some rows (sample, label) of one modality, of all that a group has: b C + c is sample b's label c. Gradients have the
  /// same shape.
  struct Rows {
    /// Blocks plain, alpha, beta: [3 n C, D] → [3 n C, P].
    private let project: MLP.Rows
    /// Blocks latent, mixed prototypes: [2 n C, P] → reconstructed, intrinsic [2 n C, D].
    private let decode: MLP.Rows
    /// Inputs of alpha and beta: [2 n C, M D] → alpha, beta [2 n C, D].
    private let fuse: MLP.Rows
    /// Which rows of each block.
    let range: Range<Int>

    init(_ modality: Networks, rows: Int, in arena: Arena) throws {
      self.init(
        project: try modality.project.makeRows(3 * rows, in: arena),
        decode: try modality.decode.makeRows(2 * rows, in: arena),
        fuse: try modality.fuse.makeRows(2 * rows, in: arena), range: 0..<rows)
    }

    private init(project: MLP.Rows, decode: MLP.Rows, fuse: MLP.Rows, range: Range<Int>) {
      (self.project, self.decode, self.fuse, self.range) = (project, decode, fuse, range)
    }

    /// Some of the rows, counted from the group's first.
    func rows(_ range: Range<Int>) -> Rows { Rows(project: project, decode: decode, fuse: fuse, range: range) }

    /// The projection's rows of a level.
    func projecting(_ level: Level) -> MLP.Rows { project.block(level.rawValue, of: 3).rows(range) }
    /// The decoder's rows of the latents, and of the mixed prototypes.
    var reconstructing: MLP.Rows { decode.block(0, of: 2).rows(range) }
    var decodingPrototypes: MLP.Rows { decode.block(1, of: 2).rows(range) }
    /// The fusion map's rows that make alpha or beta.
    func fusing(_ level: Level) -> MLP.Rows { fuse.block(level.rawValue - 1, of: 2).rows(range) }

    /// plain, alpha or beta [rows, D] (or its gradient).
    func level(_ level: Level) -> Matrix { projecting(level).input }
    /// Latents of a level, [rows, P].
    func latent(_ level: Level) -> Matrix { projecting(level).output }
    var reconstructed: Matrix { reconstructing.output }
    var intrinsic: Matrix { decodingPrototypes.output }

    /// What each map was given, block by block, in the order in which a sum goes over them.
    var projections: [MLP.Rows] { Level.allCases.map(projecting) }
    var decodings: [MLP.Rows] { [reconstructing, decodingPrototypes] }
    var fusions: [MLP.Rows] { Level.reconstructed.map(fusing) }
  }

  enum Level: Int, CaseIterable {
    case plain, alpha, beta

    static let reconstructed: [Level] = [.alpha, .beta]
  }

  /// Some rows of everything from `plain` on: latents, reconstructions, intrinsic vectors, alpha, beta, and the unit
  /// latents of all levels in `unit`.
  ///
  /// - Parameters:
  ///   - all: of each modality, all that a group has.
  ///   - range: the rows to make.
  ///   - allLatents: whether alpha and beta get latents: scores do not need them.
  func forward(
    _ all: [Rows], _ range: Range<Int>, _ θ: Parameters, prototypes: Prototypes, training: Bool, allLatents: Bool,
    mixWeights: [Matrix], unit: UnitLatents
  ) {
    let M = modalities.count
    for m in 0..<M {
      let (net, x) = (modalities[m], all[m].rows(range))
      net.project.forward(x.projecting(.plain), θ)
      unit.normalize(x.latent(.plain), rows: range, modality: m, level: .plain)
      x.reconstructing.input.copy(from: x.latent(.plain))
      net.decode.forward(x.reconstructing, θ)
      unit.mix(
        prototypes, rows: range, modality: m, training: training, weights: mixWeights[m].rows(range),
        into: x.decodingPrototypes.input)
      net.decode.forward(x.decodingPrototypes, θ)
    }
    for level in Level.reconstructed {
      for m in 0..<M {
        let x = all[m].rows(range)
        let fusing = x.fusing(level)
        let D = fusing.output.columns
        for k in 0..<M {
          let other = all[k].rows(range)
          let source = level == .beta ? other.level(.alpha) : k == m ? other.intrinsic : other.reconstructed
          fusing.input.columns(k * D..<(k + 1) * D).copy(from: source)
        }
        modalities[m].fuse.forward(fusing, θ)
        x.level(level).copy(from: fusing.output)
      }
    }
    guard allLatents else { return }
    for m in 0..<M {
      let x = all[m].rows(range)
      for level in Level.reconstructed {
        modalities[m].project.forward(x.projecting(level), θ)
        unit.normalize(x.latent(level), rows: range, modality: m, level: level)
      }
    }
  }

  /// Gradients of some rows of `plain` (in the gradients' plain level) and of all between, from those of the unit latents
  /// and from what `extra` adds at each level: other loss terms' gradients of a modality's plain, alpha, beta and
  /// reconstructed.
  func backward(
    _ all: [Rows], _ gradients: [Rows], _ range: Range<Int>, _ θ: Parameters, prototypes: Prototypes,
    mixWeights: [Matrix], unit: UnitLatents, dunit: Matrix,
    extra: (_ level: Level, _ modality: Int, _ gradient: Matrix) -> Void,
    extraReconstructed: (_ modality: Int, _ gradient: Matrix) -> Void
  ) {
    let M = modalities.count
    for m in 0..<M {
      let (net, x, g) = (modalities[m], all[m].rows(range), gradients[m].rows(range))
      for level in Level.reconstructed {
        unit.backward(dunit, rows: range, modality: m, level: level, into: g.latent(level))
        net.project.backwardInput(x.projecting(level), g.projecting(level), θ)
      }
      extra(.beta, m, g.level(.beta))
      g.reconstructed.fill(0)
      g.intrinsic.fill(0)
    }
    for level in Level.reconstructed.reversed() {
      for m in 0..<M {
        let (x, g) = (all[m].rows(range), gradients[m].rows(range))
        if level == .alpha { extra(.alpha, m, g.level(.alpha)) }
        g.fusing(level).output.copy(from: g.level(level))
        modalities[m].fuse.backwardInput(x.fusing(level), g.fusing(level), θ)
      }
      // Every modality's share has been computed before any is added: alpha's gradient is complete after beta's.
      for m in 0..<M {
        let fusing = gradients[m].rows(range).fusing(level)
        let D = fusing.output.columns
        for k in 0..<M {
          let other = gradients[k].rows(range)
          let target = level == .beta ? other.level(.alpha) : k == m ? other.intrinsic : other.reconstructed
          add(fusing.input.columns(k * D..<(k + 1) * D), to: target)
        }
      }
    }
    for m in 0..<M {
      let (net, x, g) = (modalities[m], all[m].rows(range), gradients[m].rows(range))
      extraReconstructed(m, g.reconstructed)
      net.decode.backwardInput(x.reconstructing, g.reconstructing, θ)
      net.decode.backwardInput(x.decodingPrototypes, g.decodingPrototypes, θ)
      unit.addMixGradient(
        g.decodingPrototypes.input, prototypes, rows: range, modality: m, weights: mixWeights[m].rows(range), to: dunit)
      unit.backward(dunit, rows: range, modality: m, level: .plain, into: g.latent(.plain))
      add(g.reconstructing.input, to: g.latent(.plain))
      net.project.backwardInput(x.projecting(.plain), g.projecting(.plain), θ)
      extra(.plain, m, g.level(.plain))
    }
  }
}
