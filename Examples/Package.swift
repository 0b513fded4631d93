// swift-tools-version: 6.2
import PackageDescription

// How another package uses CARAT; there it would be .package(url: …, exact: …).
let package = Package(
  name: "carat-examples",
  dependencies: [.package(name: "carat", path: "..")],
  targets: [
    .executableTarget(name: "train-example", dependencies: [.product(name: "CARAT", package: "carat")]),
    .executableTarget(name: "predict-example", dependencies: [.product(name: "CARAT", package: "carat")]),
  ]
)
