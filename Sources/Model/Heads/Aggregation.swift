import Parallel
import Tensor

/// The aggregation MLP: from all labels' betas of one modality [C D] to a logit a label [C], for the betas as they
/// are and for the shuffled ones.
struct Aggregation {
  let mlp: MLP
  let modalities: Int

  init(_ c: ModelConfiguration, in layout: inout ParameterLayout) {
    mlp = MLP("agg", inputs: c.labels * c.hiddenSize, hiddenSize: c.hiddenSize, outputs: c.labels, in: &layout)
    modalities = c.modalities.count
  }

  /// A group's rows (sample, modality) and their gradients: block 0 as they are, block 1 shuffled; [2 n M, …].
  struct Rows {
    let x: MLP.Rows
    let d: MLP.Rows

    init(_ aggregation: Aggregation, samples: Int, in arena: Arena) throws {
      x = try aggregation.mlp.makeRows(2 * samples * aggregation.modalities, in: arena)
      d = try aggregation.mlp.makeRows(2 * samples * aggregation.modalities, in: arena)
    }
  }
}
