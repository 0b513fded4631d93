import CARAT

// Trains a small model on a data set: train-example <data set directory> <output directory>
let (data, output) = (CommandLine.arguments[1], CommandLine.arguments[2])

let dataset = try Dataset(directory: data)
var settings = RunConfiguration(for: dataset)
Preset.small.apply(to: &settings)
settings.epochs = 3
let trainer = try Trainer(settings, on: dataset, output: output)
let outcome = try trainer.run { progress in
  if case .evaluation(let record) = progress { print("epoch \(record.epoch): \(record.metrics.microF1)") }
}
if case .finished(let result) = outcome { print("test micro-F1 \(result.test.microF1), digest \(result.digest)") }
