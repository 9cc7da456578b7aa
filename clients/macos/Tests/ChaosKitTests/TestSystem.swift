import Dispatch
import Foundation
import Testing

@testable import ChaosKit

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The real controllers and agents that tests/swift/swift_system runs beside these tests; its port
/// is in FAULTLINE_TEST_SYSTEM.
final class TestSystem: Sendable {
  struct Refused: Error { let message: String }

  static let port = ProcessInfo.processInfo.environment["FAULTLINE_TEST_SYSTEM"].flatMap(UInt16.init)
  static let shared = TestSystem()

  private let queue = DispatchQueue(label: "test system")
  private let connection: Int32

  private init() {
    #if canImport(Glibc)
      connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      connection = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = (Self.port ?? 0).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(connection, $0, size) }
    }
    precondition(connected == 0, "swift_system does not answer")
  }

  /// What was done, as texts; the words are in tests/swift/system.h.
  @discardableResult func ask(_ line: String) async throws -> [String: String] {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try self.exchange(line + "\n") }) }
    }
  }

  private func exchange(_ line: String) throws -> [String: String] {
    _ = line.withCString { send(connection, $0, strlen($0), 0) }
    var answer = Data()
    var byte: UInt8 = 0
    while recv(connection, &byte, 1, 0) == 1, byte != UInt8(ascii: "\n") { answer.append(byte) }
    let object = try JSONSerialization.jsonObject(with: answer) as? [String: Any] ?? [:]
    if let error = object["error"] as? String { throw Refused(message: error) }
    return object.mapValues { "\($0)" }
  }
}

/// Polls until it holds; long enough for anything that happens at all on a loaded machine.
@MainActor func eventually(
  _ what: Comment, sourceLocation: SourceLocation = #_sourceLocation,
  _ holds: @MainActor () async throws -> Bool
) async throws {
  let clock = ContinuousClock()
  let deadline = clock.now + .seconds(60)
  while clock.now < deadline {
    if try await holds() { return }
    try await Task.sleep(for: .milliseconds(20))
  }
  Issue.record(what, sourceLocation: sourceLocation)
  throw TestSystem.Refused(message: "waited in vain: \(what)")
}

@MainActor func expectNothingAlive() async throws {
  try await eventually("handles of the C interface are left") { nativeHandlesAlive == 0 }
}

/// The error that `body` throws, which is to be one of ChaosKit's.
@MainActor func chaosError(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: @MainActor () async throws -> Void
) async -> ChaosError? {
  do {
    try await body()
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
  } catch let error as ChaosError {
    return error
  } catch {
    Issue.record(error, sourceLocation: sourceLocation)
  }
  return nil
}
