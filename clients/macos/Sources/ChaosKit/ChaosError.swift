import CFaultline

/// Whatever a call or a stream can fail with. Cancelling the surrounding task gives
/// `CancellationError` instead.
public struct ChaosError: Error, Sendable, Equatable {
  /// gRPC's codes.
  public enum Code: Int32, Sendable {
    case cancelled = 1
    case unknown, invalidArgument, deadlineExceeded, notFound, alreadyExists, permissionDenied
    case resourceExhausted, failedPrecondition, aborted, outOfRange, unimplemented, `internal`
    case unavailable, dataLoss, unauthenticated
  }

  /// One wrong field: "parameters.delay_ms", "-1", "0 to 60000 ms".
  public struct Violation: Sendable, Equatable {
    public let field: String
    public let value: String
    public let allowed: String

    public init(field: String, value: String, allowed: String) {
      self.field = field
      self.value = value
      self.allowed = allowed
    }
  }

  public let code: Code
  /// Stable, upper case: NO_LEADER, TARGET_BUSY, UNREACHABLE, ... Empty when there is none.
  public let reason: String
  /// A sentence for people, in English.
  public let message: String
  public let violations: [Violation]
  public let metadata: [String: String]
  /// The server was overloaded, and may be asked again after that time.
  public let retryAfter: Duration?

  public init(
    code: Code, reason: String, message: String, violations: [Violation] = [],
    metadata: [String: String] = [:], retryAfter: Duration? = nil
  ) {
    self.code = code
    self.reason = reason
    self.message = message
    self.violations = violations
    self.metadata = metadata
    self.retryAfter = retryAfter
  }

  /// The control plane cannot be reached, or has no leader now: asking later may help.
  public var isConnectionTrouble: Bool { code == .unavailable || code == .deadlineExceeded }

  /// Nil for OK.
  init?(_ status: fl_status) {
    if status.code == 0 { return nil }
    code = Code(rawValue: status.code) ?? .unknown
    reason = String(cString: status.reason)
    message = String(cString: status.message)
    violations = (0..<status.violation_count).map { index in
      let violation = status.violations[index]
      return Violation(
        field: String(cString: violation.field), value: String(cString: violation.value),
        allowed: String(cString: violation.allowed))
    }
    metadata = Dictionary(
      (0..<status.metadata_count).map { index in
        let fact = status.metadata[index]
        return (String(cString: fact.name), String(cString: fact.value))
      }, uniquingKeysWith: { first, _ in first })
    retryAfter = status.retry_after_ms > 0 ? .milliseconds(status.retry_after_ms) : nil
  }
}

extension Error {
  /// This error as the one type that view models show; nil when a task was cancelled.
  var shown: ChaosError? {
    if self is CancellationError { return nil }
    return self as? ChaosError
      ?? ChaosError(code: .internal, reason: "CLIENT", message: String(describing: self))
  }
}
