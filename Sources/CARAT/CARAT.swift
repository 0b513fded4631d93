// What `import CARAT` gives: `Dataset`, `RunConfiguration`, `Trainer`, `Predictor`, and what these take, give and throw.
// Examples/ trains and predicts with it.
@_exported import Files
@_exported import Model
