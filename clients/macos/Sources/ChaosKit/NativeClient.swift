import CFaultline
import Foundation

/// Handles of the C interface alive in this process, and the work they have begun: 0 when all is
/// freed, which takes a moment after a cancellation.
public var nativeHandlesAlive: Int { Int(fl_alive()) }

/// A client of the C interface; closed with this object, which cancels all that it has begun.
/// `@unchecked`: a handle may be used from any thread.
final class NativeClient: @unchecked Sendable {
  let handle: OpaquePointer

  init(addresses: String, credentials: Credentials?, timeout: Duration?) throws {
    var failure: ChaosError?
    let opened = withUnsafeMutablePointer(to: &failure) { failure in
      addresses.withCString { addresses in
        Self.withTexts(credentials) { ca, certificate, key in
          var options = fl_options()
          options.addresses = addresses
          options.ca = ca
          options.certificate = certificate
          options.key = key
          options.timeout_ms = timeout.map(Self.milliseconds) ?? 0
          // Called before fl_client_open returns, if at all.
          return fl_client_open(&options, failure) { context, status, _, _ in
            context!.assumingMemoryBound(to: ChaosError?.self).pointee = ChaosError(status!.pointee)
          }
        }
      }
    }
    guard let opened else {
      throw failure ?? ChaosError(code: .internal, reason: "CLIENT", message: "no client")
    }
    handle = opened
  }

  deinit { fl_client_close(handle) }

  /// 0 means the default, so that less than one is one.
  private static func milliseconds(_ duration: Duration) -> Int64 {
    let milliseconds = duration / .milliseconds(1)
    return milliseconds > 0 ? Int64(min(milliseconds.rounded(.up), 1e15)) : -1
  }

  private static func withTexts<Result>(
    _ credentials: Credentials?,
    _ body: (UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?) -> Result
  ) -> Result {
    guard let credentials else { return body(nil, nil, nil) }
    return credentials.authority.withCString { ca in
      credentials.certificate.withCString { certificate in
        credentials.key.withCString { key in body(ca, certificate, key) }
      }
    }
  }

  /// One unary call. Cancelling the task reaches the server.
  func call(_ method: String, _ request: Data) async throws -> Data {
    let slot = CallSlot()
    return try await withTaskCancellationHandler {
      try Task.checkCancellation()
      return try await withCheckedThrowingContinuation { continuation in
        let call = request.withUnsafeBytes { bytes in
          fl_call_begin(
            handle, method, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count,
            Waiting(continuation).retained()
          ) { context, status, json, size in
            Waiting<Data>.take(context).resume(status) { Data(bytes: json!, count: size) }
          }
        }
        slot.fill(call!)
      }
    } onCancel: {
      slot.cancel()
    }
  }
}

/// A continuation on its way through a C callback, which comes exactly once.
final class Waiting<Value: Sendable> {
  private let continuation: CheckedContinuation<Value, any Error>

  init(_ continuation: CheckedContinuation<Value, any Error>) {
    self.continuation = continuation
  }

  func retained() -> UnsafeMutableRawPointer { Unmanaged.passRetained(self).toOpaque() }

  static func take(_ context: UnsafeMutableRawPointer?) -> Waiting {
    Unmanaged<Waiting>.fromOpaque(context!).takeRetainedValue()
  }

  func resume(_ status: UnsafePointer<fl_status>?, _ value: () -> Value) {
    switch ChaosError(status!.pointee) {
    case nil: continuation.resume(returning: value())
    case let error? where error.code == .cancelled:
      continuation.resume(throwing: CancellationError())
    case let error?: continuation.resume(throwing: error)
    }
  }
}

/// A call that may be cancelled before it has begun. `@unchecked`: guarded by its lock.
private final class CallSlot: @unchecked Sendable {
  private let lock = NSLock()
  private var call: OpaquePointer?
  private var cancelled = false

  func fill(_ begun: OpaquePointer) {
    let cancel = lock.withLock {
      call = begun
      return cancelled
    }
    if cancel { fl_call_cancel(begun) }
  }

  func cancel() {
    let begun = lock.withLock {
      cancelled = true
      return call
    }
    if let begun { fl_call_cancel(begun) }
  }

  deinit { if let call { fl_call_release(call) } }
}
