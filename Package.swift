// swift-tools-version: 6.1
import PackageDescription

// The kernels are written for the vector unit of the machine that builds them. A binary for other
// machines names its instruction set: CARAT_MARCH=x86-64-v3 swift build -c release
let instructionSet = Context.environment["CARAT_MARCH"] ?? "native"
var vectorised: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-march=\(instructionSet)"])]

// For scripts/fuzz, whose value is the directory of the sanitizers' libraries: every module counts its branches for
// libFuzzer, and the readers' internals are visible.
let sanitizers = Context.environment["CARAT_FUZZ"]
if sanitizers != nil { vectorised.append(.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])) }

// With --traits MPI a run may be spread over processes. The library is Open MPI, or MPICH: CARAT_MPI=mpich.
let messagePassing = Context.environment["CARAT_MPI"] == "mpich" ? "mpich" : "ompi-c"

#if arch(arm64)
  let architecture = "aarch64"
#else
  let architecture = "x86_64"
#endif

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

if let sanitizers {
  package.targets.append(
    .executableTarget(
      name: "fuzz", dependencies: ["Model"], path: "scripts/fuzz-target", exclude: ["corpus"],
      swiftSettings: vectorised,
      linkerSettings: [
        // libFuzzer without its main function: a package's executable has its own.
        .unsafeFlags(["-sanitize=address", sanitizers + "/libclang_rt.fuzzer_no_main-\(architecture).a"]),
        .linkedLibrary("stdc++"),
      ]))
}
