import Parallel
import Tensor

/// Contrastive feature reconstruction of all modalities:
/// latent = project(plain), reconstructed = decode(latent), intrinsic = decode(mixed prototypes);
/// alpha_m = fuse_m(intrinsic of m, reconstructions of the others), beta_m = fuse_m(all alphas);
/// and latents of alpha and beta by the same projection.
struct Reconstruction {
  /// The three MLPs of one modality.
  struct Modality {
    let project: MLP
    let decode: MLP
    let fuse: MLP
    let group: Range<Int>
  }

  let modalities: [Modality]
  let labels: Int

  init(_ c: ModelConfiguration, in layout: inout ParameterLayout) {
    let (D, P, M) = (c.hiddenSize, c.latentSize, c.modalities.count)
    labels = c.labels
    let names = c.modalities.map(\.name)
    modalities = names.indices.map { m in
      let (maps, group) = layout.group { layout in
        (
          MLP("proj_" + names[m], inputs: D, hiddenSize: D / 2, outputs: P, in: &layout),
          MLP("de_proj_" + names[m], inputs: P, hiddenSize: D / 2, outputs: D, in: &layout),
          MLP(Self.fusionName(names, m), inputs: M * D, outputs: D, in: &layout)
        )
      }
      return Modality(project: maps.0, decode: maps.1, fuse: maps.2, group: group)
    }
  }

  /// The released code's name of the map that makes modality m out of the others: "va2t" makes text.
  static func fusionName(_ names: [String], _ m: Int) -> String {
    let initials = names.map { String($0.prefix(1)) }
    return initials.enumerated().filter { $0.offset != m }.map(\.element).joined() + "2" + initials[m]
  }

  /// One modality's rows of one shard; row b C + c of a block is sample b's label c. Gradients have the same shape.
  struct Rows {
    /// Blocks plain, alpha, beta: [3 n C, D] → [3 n C, P].
    let project: MLP.Rows
    /// Blocks latent, mixed prototypes: [2 n C, P] → reconstructed, intrinsic [2 n C, D].
    let decode: MLP.Rows
    /// Inputs of alpha and beta: [2 n C, M D] → alpha, beta [2 n C, D].
    let fuse: MLP.Rows

    init(_ modality: Modality, rows: Int, in arena: Arena) throws {
      project = try modality.project.makeRows(3 * rows, in: arena)
      decode = try modality.decode.makeRows(2 * rows, in: arena)
      fuse = try modality.fuse.makeRows(2 * rows, in: arena)
    }

    private init(project: MLP.Rows, decode: MLP.Rows, fuse: MLP.Rows) {
      (self.project, self.decode, self.fuse) = (project, decode, fuse)
    }

    /// The view for blocks of fewer rows.
    func first(_ rows: Int) -> Rows {
      Rows(
        project: project.rows(0..<3 * rows), decode: decode.rows(0..<2 * rows), fuse: fuse.rows(0..<2 * rows))
    }

    /// plain, alpha or beta [n C, D] (or its gradient).
    func level(_ level: Level) -> Matrix { project.block(level.rawValue, of: 3).input }
    /// Latents of a level, [n C, P].
    func latent(_ level: Level) -> Matrix { project.block(level.rawValue, of: 3).output }
    var reconstructed: Matrix { decode.block(0, of: 2).output }
    var intrinsic: Matrix { decode.block(1, of: 2).output }
    /// The fusion map's rows that make alpha or beta.
    func fusing(_ level: Level) -> MLP.Rows { fuse.block(level.rawValue - 1, of: 2) }
  }

  enum Level: Int, CaseIterable {
    case plain, alpha, beta

    static let reconstructed: [Level] = [.alpha, .beta]
  }

  /// Everything of a shard from `plain` on: latents, reconstructions, intrinsic vectors, alpha, beta, and the unit
  /// latents of all levels in `unit`: [n, 3 M, C, P], the shard's live rows.
  func forward(
    _ rows: [Rows], _ θ: Parameters, prototypes: Prototypes, training: Bool, mixWeights: [Matrix], unit: UnitLatents
  ) {
    let M = modalities.count
    for (m, net) in modalities.enumerated() {
      let x = rows[m]
      let n = x.level(.plain).rows
      net.project.forward(x.project.rows(0..<n), θ)
      unit.normalize(x.latent(.plain), modality: m, level: .plain)
      let decodeInput = x.decode.input
      decodeInput.rows(0..<n).copy(from: x.latent(.plain))
      prototypes.mix(
        unit.gathered(modality: m), modality: m, training: training, weights: mixWeights[m],
        into: decodeInput.rows(n..<2 * n))
      net.decode.forward(x.decode, θ)
    }
    for level in Level.reconstructed {
      for (m, net) in modalities.enumerated() {
        let x = rows[m]
        let block = x.fusing(level)
        let D = block.output.columns
        for k in 0..<M {
          let source = level == .beta ? rows[k].level(.alpha) : k == m ? rows[k].intrinsic : rows[k].reconstructed
          block.input.columns(k * D..<(k + 1) * D).copy(from: source)
        }
        net.fuse.forward(block, θ)
        x.level(level).copy(from: block.output)
      }
    }
    guard training else { return }
    for (m, net) in modalities.enumerated() {
      let x = rows[m]
      let n = x.level(.plain).rows
      net.project.forward(x.project.rows(n..<3 * n), θ)
      for level in Level.reconstructed { unit.normalize(x.latent(level), modality: m, level: level) }
    }
  }

  /// Gradients of `plain` (in `d`'s plain level) and of all its maps, from those of the unit latents and from what
  /// `extra` adds at each level: other loss terms' gradients of a modality's plain, alpha, beta and reconstructed.
  func backward(
    _ rows: [Rows], _ d: [Rows], _ θ: Parameters, prototypes: Prototypes, mixWeights: [Matrix], unit: UnitLatents,
    dunit: Matrix, extra: (_ level: Level, _ modality: Int, _ gradient: Matrix) -> Void,
    extraReconstructed: (_ modality: Int, _ gradient: Matrix) -> Void
  ) {
    let M = modalities.count
    for (m, net) in modalities.enumerated() {
      let (x, g) = (rows[m], d[m])
      let n = x.level(.plain).rows
      for level in Level.reconstructed { unit.backward(dunit, modality: m, level: level, into: g.latent(level)) }
      net.project.backwardInput(x.project.rows(n..<3 * n), g.project.rows(n..<3 * n), θ)
      extra(.beta, m, g.level(.beta))
      g.decode.output.fill(0)
    }
    for level in Level.reconstructed.reversed() {
      for (m, net) in modalities.enumerated() {
        let (x, g) = (rows[m], d[m])
        if level == .alpha { extra(.alpha, m, g.level(.alpha)) }
        g.fusing(level).output.copy(from: g.level(level))
        net.fuse.backwardInput(x.fusing(level), g.fusing(level), θ)
      }
      // Every modality's share has been computed before any is added: alpha's gradient is complete after beta's.
      for m in 0..<M {
        let block = d[m].fusing(level)
        let D = block.output.columns
        for k in 0..<M {
          let target = level == .beta ? d[k].level(.alpha) : k == m ? d[k].intrinsic : d[k].reconstructed
          add(block.input.columns(k * D..<(k + 1) * D), to: target)
        }
      }
    }
    for (m, net) in modalities.enumerated() {
      let (x, g) = (rows[m], d[m])
      let n = x.level(.plain).rows
      extraReconstructed(m, g.reconstructed)
      net.decode.backwardInput(x.decode, g.decode, θ)
      unit.addMixGradient(
        g.decode.input.rows(n..<2 * n), prototypes: prototypes, modality: m, weights: mixWeights[m], to: dunit)
      unit.backward(dunit, modality: m, level: .plain, into: g.latent(.plain))
      add(g.decode.input.rows(0..<n), to: g.latent(.plain))
      net.project.backwardInput(x.project.rows(0..<n), g.project.rows(0..<n), θ)
      extra(.plain, m, g.level(.plain))
    }
  }

}

extension Reconstruction.Modality {
  /// The gradients of the three maps' parameters.
  func backwardParameters(
    _ x: Reconstruction.Rows, _ d: Reconstruction.Rows, scratch: Scratch, into gradient: Parameters
  ) {
    project.backwardParameters(x.project, d.project, scratch: scratch, into: gradient)
    decode.backwardParameters(x.decode, d.decode, scratch: scratch, into: gradient)
    fuse.backwardParameters(x.fuse, d.fuse, scratch: scratch, into: gradient)
  }
}
