import CARAT

// Predicts the labels of samples by a run: predict-example <run> <samples.safetensors>
let predictor = try Predictor(run: CommandLine.arguments[1])
for prediction in try predictor.predictions(ofFile: CommandLine.arguments[2]) {
  print(prediction.id ?? "\(prediction.sample)", prediction.labels.joined(separator: ", "))
}
