/// Trained tensors that are looked at together: those of one part of the model and of one kind.
struct ParameterGroup: Sendable {
  /// Such as `text/layer_0`.
  let name: String
  let tensors: [Parameter]

  /// The groups of a model, in the order of its tensors.
  static func all(of model: CARATModel) -> [ParameterGroup] {
    var groups: [(name: String, tensors: [Parameter])] = []
    for parameter in model.trained {
      let name = model.part(of: parameter) + "/" + kind(of: parameter)
      if let place = groups.firstIndex(where: { $0.name == name }) {
        groups[place].tensors.append(parameter)
      } else {
        groups.append((name, [parameter]))
      }
    }
    return groups.map { ParameterGroup(name: $0.name, tensors: $0.tensors) }
  }

  /// Weights by their layer or stage; biases and the gains of norms, of other sizes than weights, by themselves.
  private static func kind(of parameter: Parameter) -> String {
    let name = parameter.name
    if parameter.shape.count == 1 { return name.contains("bias") ? "biases" : "gains" }
    if let match = name.firstMatch(of: /\.encoder\.layer\.([0-9]+)\./) { return "layer_\(match.1)" }
    if name.contains(".embeddings.") { return "embeddings" }
    if name.contains("_attention.") { return "label_attention" }
    if name.contains("_ctc.") { return "alignment" }
    if name.hasSuffix("_clf_weight") { return "classifiers" }
    return name.hasPrefix("agg.") ? "aggregation" : "reconstruction"
  }
}

extension CARATModel {
  /// The parts that gradients are told of: the encoders by their modalities' names, and what follows them.
  var parts: [String] { configuration.modalities.map(\.name) + ["heads"] }

  /// The part that a trained tensor belongs to.
  func part(of parameter: Parameter) -> String {
    parts[encoderRanges.firstIndex { $0.contains(parameter.offset) } ?? encoderRanges.count]
  }
}
