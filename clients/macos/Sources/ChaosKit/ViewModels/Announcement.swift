/// What the operator is notified of when the window is not in sight.
public struct Announcement: Sendable, Hashable, Identifiable {
  public enum What: String, Sendable, CaseIterable {
    /// Some target is faulty now.
    case running
    case completed
    case failed
  }

  public let what: What
  public let experimentID: String
  /// The selector.
  public let target: String
  /// The server's reason; may be empty.
  public let reason: String
  public var id: String { "\(experimentID) \(what.rawValue)" }

  /// Nil when the change is none that is announced.
  init?(before: Experiment?, now: Experiment) {
    guard before?.status != now.status else { return nil }
    switch now.status {
    case .running: what = .running
    case .completed: what = .completed
    case .failed: what = .failed
    case .pending, .unknown: return nil
    }
    experimentID = now.id
    target = now.target
    reason = now.reason
  }
}
