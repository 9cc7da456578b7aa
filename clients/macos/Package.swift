// swift-tools-version: 6.0
import PackageDescription

// The shared library of src/client, built by CMake (README.md). It is looked for here when the
// program starts, too; make-app.sh puts it into the application.
let library =
  Context.environment["FAULTLINE_CLIENT_LIB"] ?? Context.packageDirectory + "/../../build/client/lib"
var linking = ["-L\(library)", "-Xlinker", "-rpath", "-Xlinker", library]
#if os(Linux)
  // Debian's libswiftObservation names a function of the runtime that no library of it exports.
  linking += ["-Xlinker", "--allow-shlib-undefined"]
#endif

var targets: [Target] = [
  .systemLibrary(name: "CFaultline"),
  .target(
    name: "ChaosKit", dependencies: ["CFaultline"], resources: [.process("Resources")],
    linkerSettings: [.unsafeFlags(linking)]),
  .executableTarget(name: "swift_stream", dependencies: ["ChaosKit"]),
  .testTarget(name: "ChaosKitTests", dependencies: ["ChaosKit", "CFaultline"]),
]

#if os(Linux)
  // There is no SwiftUI here: the views are type-checked against a stand-in for the part of it that
  // they use. They are never run.
  for name in ["SwiftUI", "Charts", "UserNotifications"] {
    targets.append(
      .target(
        name: name, dependencies: name == "Charts" ? ["SwiftUI"] : [],
        path: "Tests/TypeCheck/\(name)"))
  }
  let viewDependencies: [Target.Dependency] = [
    "ChaosKit", "SwiftUI", "Charts", "UserNotifications",
  ]
#else
  let viewDependencies: [Target.Dependency] = ["ChaosKit"]
  targets.append(.executableTarget(name: "Faultline", dependencies: ["FaultlineViews"]))
#endif

targets.append(.target(name: "FaultlineViews", dependencies: viewDependencies))

let package = Package(
  name: "Faultline",
  defaultLocalization: "en",
  platforms: [.macOS(.v14)],
  products: [.library(name: "ChaosKit", targets: ["ChaosKit"])],
  targets: targets,
  swiftLanguageModes: [.v6]
)
