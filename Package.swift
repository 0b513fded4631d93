// swift-tools-version: 6.2
import Foundation
import PackageDescription

// The kernels are written for the vector unit of the machine that builds them. A binary for other
// machines names its instruction set: CARAT_MARCH=x86-64-v3 swift build -c release
let instructionSet = Context.environment["CARAT_MARCH"] ?? "native"
var vectorised: [SwiftSetting] = []
// A package that is depended on by version may not set such flags; who depends on it gives them to all of a build:
// swift build -c release -Xswiftc -Xcc -Xswiftc -march=x86-64-v3. Without them results are the same, and slow.
if !Context.packageDirectory.contains("/checkouts/") {
  vectorised.append(.unsafeFlags(["-Xcc", "-march=\(instructionSet)"]))
}
// Products keep a tile of the result in registers: AVX-512 has room for a larger one. CARAT_TILE=12x32 takes that
// elsewhere, where it is slower and has to give the same bits.
let isAVX512 = hasAVX512(instructionSet)
if isAVX512 || Context.environment["CARAT_TILE"] == "12x32" { vectorised.append(.define("TILE_12X32")) }

// For scripts/check/fuzz, whose value is the directory of the sanitizers' libraries: every module counts its branches for
// libFuzzer, and the readers' internals are visible.
let sanitizers = Context.environment["CARAT_FUZZ"]
if sanitizers != nil { vectorised.append(.unsafeFlags(["-sanitize=fuzzer,address", "-enable-testing"])) }

// The program's version names the commit where CARAT_COMMIT tells it; scripts/commit does. Builds without it name none.
let commit = Context.environment["CARAT_COMMIT"] ?? ""
let digits = commit.hasSuffix("-dirty") ? commit.dropLast(6) : commit[...]
if !digits.allSatisfy({ "0123456789abcdef".contains($0) }) {
  fatalError("CARAT_COMMIT: expected what scripts/commit prints, found '\(commit)'; unset it")
}

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
    .executable(name: "launch", targets: ["launch"]),
    .library(name: "CARAT", targets: ["CARAT"]),
  ],
  traits: [.trait(name: "MPI", description: "Ranks: a run spread over processes, on one machine or many.")],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-protobuf", exact: "1.39.0", traits: []),
  ],
  targets: [
    .systemLibrary(name: "CNuma", pkgConfig: "numa", providers: [.apt(["libnuma-dev"])]),
    .systemLibrary(
      name: "CMPI", pkgConfig: messagePassing, providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CKernelHints"),
    .target(name: "CCommit", cSettings: commit.isEmpty ? [] : [.define("CARAT_COMMIT", to: "\"\(commit)\"")]),
    .target(name: "Tensor", dependencies: ["CKernelHints"], swiftSettings: vectorised),
    .target(
      name: "Parallel",
      dependencies: [
        "Tensor", "CCommit", "CNuma", .target(name: "CMPI", condition: .when(traits: ["MPI"])),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: vectorised),
    .target(name: "Files", dependencies: ["Tensor", "COpenSSL"], swiftSettings: vectorised),
    .target(
      name: "TensorBoard",
      dependencies: ["Files", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: ["Protos"],
      swiftSettings: vectorised),
    .target(
      name: "Model",
      dependencies: ["Parallel", "Files", "TensorBoard", .product(name: "Logging", package: "swift-log")],
      swiftSettings: vectorised),
    .target(name: "CARAT", dependencies: ["Model", "Files"], swiftSettings: vectorised),
    .target(name: "Benchmark", dependencies: ["Model"], swiftSettings: vectorised),
    // Says in a line that the processor is not the one that the program was built for.
    .target(name: "CProcessor", cSettings: [.define("CARAT_AVX512", to: isAVX512 ? "1" : "0")]),
    // Starts the program that was built for the processor, of those that lie beside it.
    .executableTarget(name: "launch"),
    .executableTarget(
      name: "train",
      dependencies: [
        "Model", "Benchmark", "CProcessor",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: vectorised),
    .target(
      name: "TestSupport", dependencies: ["Tensor", "Parallel", "Model", "Files"], path: "Tests/TestSupport",
      swiftSettings: vectorised),
    .executableTarget(
      name: "ranks-check", dependencies: ["Parallel", "TestSupport"], path: "Tests/RanksCheck",
      swiftSettings: vectorised),
    .testTarget(name: "TensorTests", dependencies: ["Tensor", "TestSupport"], swiftSettings: vectorised),
    .target(name: "CFlushToZero", path: "Tests/CFlushToZero"),
    .target(name: "CAllocations", path: "Tests/CAllocations"),
    .testTarget(
      name: "ParallelTests", dependencies: ["Parallel", "TestSupport", "CFlushToZero"], swiftSettings: vectorised),
    .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"], swiftSettings: vectorised),
    .testTarget(name: "TensorBoardTests", dependencies: ["TensorBoard", "TestSupport"], swiftSettings: vectorised),
    .testTarget(
      name: "ModelTests", dependencies: ["Model", "TensorBoard", "TestSupport", "CAllocations"],
      resources: [.copy("Golden")],
      swiftSettings: vectorised),
    .testTarget(
      name: "TrainTests", dependencies: ["Model", "TestSupport", "train"],
      resources: [.copy("reference-run.json")],
      swiftSettings: vectorised),
  ],
  swiftLanguageModes: [.v6]
)

if let sanitizers {
  package.targets.append(
    .executableTarget(
      name: "fuzz", dependencies: ["Model"], path: "scripts/check/fuzz-target", exclude: ["corpus"],
      swiftSettings: vectorised,
      linkerSettings: [
        // libFuzzer without its main function: a package's executable has its own.
        .unsafeFlags(["-sanitize=address", sanitizers + "/libclang_rt.fuzzer_no_main-\(architecture).a"]),
        .linkedLibrary("stdc++"),
      ]))
}

/// Whether an instruction set, as -march names it, has AVX-512.
func hasAVX512(_ name: String) -> Bool {
  if name == "native" {
    let processors = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    return processors.split(separator: "\n").first { $0.hasPrefix("flags") }?.contains(" avx512f ") ?? false
  }
  let names = ["x86-64-v4", "skylake-avx512", "cascadelake", "icelake-server", "sapphirerapids", "znver4", "znver5"]
  return names.contains(name)
}
