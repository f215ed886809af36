// swift-tools-version: 6.1
import Foundation
import PackageDescription

/// The instruction set that numeric code is compiled for.
///
/// `LASP_ARCHITECTURE` (any value that clang's `-march` takes, such as `native` or `x86-64-v3`),
/// else the best x86-64 level of the building host. Build for the weakest node of a mixed cluster
/// by setting it.
let architecture: String = {
  if let asked = Context.environment["LASP_ARCHITECTURE"], !asked.isEmpty { return asked }
  let cpu = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
  let flags = Set(
    cpu.split(separator: "\n").first { $0.hasPrefix("flags") }?.split(separator: " ") ?? [])
  let level4: Set<Substring> = ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]
  return level4.isSubset(of: flags) ? "x86-64-v4" : "x86-64-v3"
}()
let wide = architecture == "x86-64-v4"

/// Let plain loops use 512-bit vectors too: LLVM prefers 256 bits at this level unless told otherwise.
let wideLoops = [
  "-Xcc", "-Xclang", "-Xcc", "-target-feature", "-Xcc", "-Xclang", "-Xcc", "-prefer-256-bit",
]

/// What tells the command line which vectors the others are built for.
let level: [SwiftSetting] =
  wide
  ? [.define("LASP_AVX512")]
  : ["x86-64", "x86-64-v2"].contains(architecture) ? [] : [.define("LASP_AVX2")]

/// Flags of the targets that compute: vector instructions, and optimised in debug builds too, so that tests run at speed.
let numeric: [SwiftSetting] =
  [
    .unsafeFlags(["-Xcc", "-march=\(architecture)", "-Xcc", "-fno-math-errno"]),
    .unsafeFlags(["-O"], .when(configuration: .debug)),
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
  ] + (wide ? [.define("LASP_AVX512"), .unsafeFlags(wideLoops)] : [])
  + (["x86-64", "x86-64-v2"].contains(architecture) ? [] : [.define("LASP_AVX2")])

/// Whether a C header is where the compiler looks for it.
func has(header: String) -> Bool {
  ["/usr/include", "/usr/local/include"].contains {
    FileManager.default.fileExists(atPath: "\($0)/\(header)")
  }
}

/// The libraries that text files may be packed by, where their headers are: without one, such files are refused.
let packers = [
  (name: "CZlib", header: "zlib.h", flag: "LASP_ZLIB"),
  (name: "CZstandard", header: "zstd.h", flag: "LASP_ZSTANDARD"),
].filter { has(header: $0.header) }

/// The library of bf16 products, where its header is: without it there is no mixed precision.
let oneDNN: [String] = has(header: "dnnl.h") ? ["COneDNN"] : []

/// The library that knows processors, caches and memory, where its header is: without it, what the kernel tells is read.
let hwloc: [String] = has(header: "hwloc.h") ? ["CHwloc"] : []

let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")

/// What serves the page of runs, unless `LASP_SERVER` is `no`: linked statically it wants libcurl, of which nothing is called.
let hasServer = Context.environment["LASP_SERVER"] != "no"
let flyingFox =
  hasServer
  ? ["FlyingFox", "FlyingSocks"].map { Target.Dependency.product(name: $0, package: "FlyingFox") }
  : []
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let argumentParser = Target.Dependency.product(
  name: "ArgumentParser", package: "swift-argument-parser")

func module(
  _ name: String, _ dependencies: [Target.Dependency] = [], numeric isNumeric: Bool = false
) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: isNumeric ? numeric : [])
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []
) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies,
    resources: resources, swiftSettings: numeric)
}

let package = Package(
  name: "lasp-train",
  products: [.executable(name: "lasp-train", targets: ["lasp-train"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
  ] + (hasServer ? [.package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1")] : []),
  targets: [
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(
      name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .systemLibrary(name: "CBFloat16"),
    .systemLibrary(name: "COneDNN", providers: [.apt(["libdnnl-dev"])]),
    .systemLibrary(name: "CHwloc", pkgConfig: "hwloc", providers: [.apt(["libhwloc-dev"])]),
    .systemLibrary(name: "COpenMPI", pkgConfig: "mpi", providers: [.apt(["libopenmpi-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "CZstandard", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    // Bottom up; each lists exactly the modules that its files import (Tests/imports checks it): only
    // those are seen when they change.
    .target(
      name: "Files", dependencies: packers.map { .byName(name: $0.name) },
      swiftSettings: numeric + packers.map { .define($0.flag) }),
    module("Configuration", ["Files", yams]),
    module("Measurement"),
    module("Faults", ["Measurement"]),
    .target(
      name: "Tensors",
      dependencies: ["CBFloat16", "COpenBLAS", "Faults", "Measurement"]
        + oneDNN.map { .byName(name: $0) },
      swiftSettings: numeric + oneDNN.map { _ in .define("LASP_ONEDNN") }),
    module("Kernels", ["CBFloat16", "Measurement", "Tensors"], numeric: true),
    .target(
      name: "MessagePassing",
      dependencies: ["COpenMPI", "Configuration", "Faults", "Measurement"]
        + hwloc.map { .byName(name: $0) },
      swiftSettings: numeric + hwloc.map { _ in .define("LASP_HWLOC") }),
    module("Autodiff", ["Kernels", "Tensors", "Measurement"], numeric: true),
    module(
      "SequenceParallel",
      ["Autodiff", "MessagePassing", "Kernels", "Tensors", "Measurement", "Configuration"],
      numeric: true),
    module(
      "Models",
      ["SequenceParallel", "Autodiff", "Kernels", "MessagePassing", "Tensors", "Configuration"]),
    module(
      "DataParallel", ["Autodiff", "MessagePassing", "Tensors", "Measurement", "Files"],
      numeric: true),
    module("Optimizers", ["Tensors", "Configuration"], numeric: true),
    .target(
      name: "Tokenizers", dependencies: ["CPCRE2", "Files", protobuf],
      exclude: ["SentencePiece/SentencePieceModel.proto"], swiftSettings: numeric),
    module("Corpora", ["Tokenizers", "Tensors", "Configuration", "Files"], numeric: true),
    module("Checkpoints", ["Models", "Autodiff", "Tensors", "Configuration", "Files", crypto]),
    module("Reporting", ["MessagePassing", "Faults", "Measurement", "Configuration", "Files"]),
    .target(
      name: "TensorBoard", dependencies: ["Files", protobuf], exclude: ["EventRecord.proto"]),
    module("ScalingLaws", ["Tensors"], numeric: true),
    .target(
      name: "Observation",
      dependencies: [
        "ScalingLaws", "TensorBoard", "Reporting", "MessagePassing", "Measurement", "Configuration",
        "Files",
      ] + flyingFox,
      swiftSettings: hasServer ? [.define("LASP_SERVER")] : []),
    module(
      "Inference",
      [
        "Reporting", "Checkpoints", "Corpora", "Tokenizers", "DataParallel", "Models",
        "SequenceParallel", "Autodiff", "MessagePassing", "Tensors", "Configuration", "Faults",
      ]),
    module(
      "Training",
      [
        "Inference", "TensorBoard", "Reporting", "Checkpoints", "Corpora", "Tokenizers", "Models",
        "Optimizers", "DataParallel",
        "SequenceParallel", "Autodiff", "Kernels", "MessagePassing", "Tensors", "Measurement",
        "Configuration", "Faults", "Files",
      ]),
    module(
      "Preparation", ["Reporting", "Corpora", "Tokenizers", "Configuration", "Files"],
      numeric: true),
    module(
      "Studies",
      [
        "Training", "Observation", "Reporting", "Corpora", "Models", "SequenceParallel",
        "Autodiff", "Kernels", "MessagePassing", "Tensors", "Measurement", "Configuration", "Files",
      ]),
    .executableTarget(
      name: "lasp-train",
      dependencies: [
        "COpenBLAS", "Studies", "Preparation", "Training", "Inference", "Observation", "Reporting",
        "Checkpoints", "Models",
        "Optimizers", "SequenceParallel", "MessagePassing", "Tensors", "Configuration", "Faults",
        "Files",
        "Tokenizers",
        argumentParser,
      ], swiftSettings: level),

    .target(name: "ReferenceMath", path: "Tests/ReferenceMath", swiftSettings: numeric),
    .target(name: "TemporaryFolders", path: "Tests/TemporaryFolders"),
    .target(name: "Mutations", path: "Tests/Mutations"),
    .target(
      name: "CommunicatorDoubles", dependencies: ["MessagePassing"],
      path: "Tests/CommunicatorDoubles"),
    .target(
      name: "LogFixtures",
      dependencies: ["Reporting", "Measurement", "Configuration", "TemporaryFolders"],
      path: "Tests/LogFixtures"),
    tests("ReferenceMath"),
    tests("Files", ["Mutations", "TemporaryFolders"]),
    tests("Configuration", ["Mutations"]),
    tests("Measurement"),
    tests("Faults"),
    tests("Tensors", ["COpenBLAS"]),
    tests("Kernels", ["Tensors", "ReferenceMath"]),
    tests("MessagePassing", ["CommunicatorDoubles"]),
    tests("Autodiff", ["Kernels", "Tensors", "ReferenceMath"]),
    tests(
      "SequenceParallel",
      [
        "Autodiff", "Kernels", "MessagePassing", "Tensors", "ReferenceMath", "CommunicatorDoubles",
      ]),
    tests(
      "Models",
      [
        "SequenceParallel", "Autodiff", "MessagePassing", "Kernels", "Tensors", "Configuration",
        "Checkpoints", "ReferenceMath", "CommunicatorDoubles",
      ]),
    tests("DataParallel", ["Autodiff", "MessagePassing", "Tensors", "Measurement"]),
    tests("Optimizers", ["Tensors"]),
    .testTarget(
      name: "TokenizersTests", dependencies: ["Tokenizers", "Mutations", "TemporaryFolders"],
      exclude: ["Fixtures"], swiftSettings: numeric),
    tests("Corpora", ["Configuration", "Files", "Tokenizers", "Mutations", "TemporaryFolders"]),
    tests(
      "Checkpoints",
      [
        "Models", "Autodiff", "Configuration", "Tensors", "Files", "Mutations", "TemporaryFolders",
      ]),
    tests(
      "Preparation",
      ["Corpora", "Tokenizers", "Files", "Reporting", "Mutations", "TemporaryFolders"]),
    tests(
      "Reporting", ["Configuration", "Files", "LogFixtures", "Measurement", "MessagePassing"]),
    .testTarget(
      name: "TensorBoardTests", dependencies: ["TensorBoard", "TemporaryFolders", protobuf]),
    tests("ScalingLaws", ["Tensors"]),
    .testTarget(
      name: "ObservationTests",
      dependencies: [
        "Observation", "ScalingLaws", "Reporting", "TensorBoard", "Configuration", "LogFixtures",
        "Mutations",
        "TemporaryFolders",
      ] + flyingFox),
    tests(
      "Inference",
      [
        "Reporting", "Checkpoints", "Corpora", "Tokenizers", "Models", "SequenceParallel",
        "MessagePassing",
        "Autodiff", "Tensors", "Configuration", "ReferenceMath", "TemporaryFolders",
      ]),
    tests(
      "Training",
      [
        "Checkpoints", "Tokenizers", "Models", "DataParallel", "SequenceParallel", "Corpora",
        "Autodiff",
        "MessagePassing", "Tensors", "Measurement", "Configuration", "Files", "CommunicatorDoubles",
        "Mutations", "TemporaryFolders", "Inference", "Reporting",
      ]),
    tests(
      "Studies",
      [
        "Training", "Observation", "Reporting", "Models", "SequenceParallel", "Configuration",
        "Mutations", "TemporaryFolders",
      ]),
  ]
)
