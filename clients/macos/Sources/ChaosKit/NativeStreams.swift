import CFaultline
import Foundation

/// Handles of the C interface, closed with the object. `@unchecked`: they may be used from any
/// thread. Each `next` may be called when the one before has returned.
final class NativeMetrics: @unchecked Sendable {
  private let handle: OpaquePointer
  private let mostAtOnce: Int

  init(_ client: NativeClient, _ request: Data, mostAtOnce: Int) {
    handle = request.withUnsafeBytes { bytes in
      fl_metrics_open(
        client.handle, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }
    self.mostAtOnce = mostAtOnce
  }

  deinit { fl_metrics_close(handle) }

  func next() async throws -> MetricBatch? {
    try await untilEnd {
      try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
          fl_metrics_next(handle, mostAtOnce, Waiting(continuation).retained()) {
            context, status, updates, count, interruption in
            Waiting<MetricBatch>.take(context).resume(status) {
              MetricBatch(
                UnsafeBufferPointer(start: updates, count: count),
                interruption: Interruption(interruption))
            }
          }
        }
      } onCancel: {
        fl_metrics_cancel(handle)
      }
    }
  }
}

final class NativeWatch: @unchecked Sendable {
  private let handle: OpaquePointer

  init(_ client: NativeClient, _ request: Data) {
    handle = request.withUnsafeBytes { bytes in
      fl_watch_open(
        client.handle, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
    }
  }

  deinit { fl_watch_close(handle) }

  /// A WatchExperimentsResponse; empty when there is only an interruption.
  func next() async throws -> (json: Data, interruption: Interruption?)? {
    try await untilEnd {
      try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
          fl_watch_next(handle, Waiting(continuation).retained()) {
            context, status, json, size, interruption in
            Waiting<(json: Data, interruption: Interruption?)>.take(context).resume(status) {
              (Data(bytes: json!, count: size), Interruption(interruption))
            }
          }
        }
      } onCancel: {
        fl_watch_cancel(handle)
      }
    }
  }
}

/// Nil when the server has ended the stream because nothing can follow.
private func untilEnd<Value>(_ next: () async throws -> Value) async throws -> Value? {
  do {
    return try await next()
  } catch let error as ChaosError where error.code == .outOfRange && error.reason.isEmpty {
    return nil
  }
}

extension Interruption {
  fileprivate init?(_ interruption: UnsafePointer<fl_interruption>?) {
    guard let interruption = interruption?.pointee else { return nil }
    self.init(
      reason: String(cString: interruption.reason), message: String(cString: interruption.message),
      nextAddress: String(cString: interruption.next_address))
  }
}
