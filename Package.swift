// swift-tools-version: 6.1
import PackageDescription

// The kernels are written for the vector unit of the machine that builds them. A binary for other
// machines names its instruction set: CARAT_MARCH=x86-64-v3 swift build -c release
let instructionSet = Context.environment["CARAT_MARCH"] ?? "native"
let vectorised: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-march=\(instructionSet)"])]

// With --traits MPI a run may be spread over processes. The library is Open MPI, or MPICH: CARAT_MPI=mpich.
let messagePassing = Context.environment["CARAT_MPI"] == "mpich" ? "mpich" : "ompi-c"

let package = Package(
  name: "carat",
  products: [
    .executable(name: "train", targets: ["train"]),
    .library(name: "CARAT", targets: ["Model"]),
  ],
  traits: [.trait(name: "MPI", description: "Ranks: a run spread over processes, on one machine or many.")],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    .systemLibrary(name: "CNuma", pkgConfig: "numa", providers: [.apt(["libnuma-dev"])]),
    .systemLibrary(
      name: "CMPI", pkgConfig: messagePassing, providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]),
    .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "Tensor", dependencies: ["COneDNN"], swiftSettings: vectorised),
    .target(
      name: "Parallel",
      dependencies: [
        "Tensor", "CNuma", .target(name: "CMPI", condition: .when(traits: ["MPI"])),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: vectorised),
    .target(
      name: "Model",
      dependencies: ["Parallel", "COpenSSL", .product(name: "Logging", package: "swift-log")],
      swiftSettings: vectorised),
    .executableTarget(
      name: "train",
      dependencies: [
        "Model",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: vectorised),
    .target(
      name: "TestSupport", dependencies: ["Tensor", "Parallel", "Model"], path: "Tests/TestSupport",
      swiftSettings: vectorised),
    .testTarget(name: "TensorTests", dependencies: ["Tensor", "TestSupport"], swiftSettings: vectorised),
    .testTarget(name: "ParallelTests", dependencies: ["Parallel", "TestSupport"], swiftSettings: vectorised),
    .testTarget(
      name: "ModelTests", dependencies: ["Model", "TestSupport"], resources: [.copy("Golden")],
      swiftSettings: vectorised),
    .testTarget(name: "TrainTests", dependencies: ["Model", "TestSupport", "train"], swiftSettings: vectorised),
  ],
  swiftLanguageModes: [.v6]
)
