import Observation

/// Ends every experiment at once, after it was confirmed.
@MainActor @Observable public final class HaltModel {
  public enum State: Equatable, Sendable {
    case ready
    case confirming
    case halting
    /// So many experiments were stopped; of `mayBeFaulty` some target has not confirmed yet.
    case halted(stopped: Int, mayBeFaulty: Int)
    case failed(ChaosError)
  }

  public private(set) var state: State = .ready
  public var isConfirming: Bool {
    get { state == .confirming }
    set { if !newValue && state == .confirming { state = .ready } }
  }

  public init() {}

  public func ask() { if state != .halting { state = .confirming } }
  public func cancel() { isConfirming = false }

  /// Only after `ask`. Waits up to `wait` until every target confirmed. While the control plane cannot
  /// be reached it goes on asking, up to `patience`.
  public func confirm(
    _ client: ChaosClient, wait: Duration = .seconds(10), patience: Duration = .seconds(60)
  ) async {
    guard state == .confirming else { return }
    state = .halting
    do {
      let stopped = try await persist(for: patience) {
        try await client.stopAll(reason: "halt", wait: wait)
      }
      state = .halted(stopped: stopped.count, mayBeFaulty: stopped.filter(\.isOpen).count)
    } catch {
      state = error.shown.map(State.failed) ?? .ready
    }
  }
}
