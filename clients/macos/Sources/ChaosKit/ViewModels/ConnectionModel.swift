import Observation

/// Whether the control plane answers.
@MainActor @Observable public final class ConnectionModel {
  public enum State: Equatable, Sendable {
    /// No settings have been applied yet.
    case idle
    case connecting
    case connected
    /// Goes on at another address, without a hole.
    case resumed(Interruption)
    /// Is tried again.
    case lost(ChaosError)
    /// The settings cannot be used.
    case refused(ChaosError)
  }

  public internal(set) var state: State = .idle
  /// How often a stream was taken up by another node.
  public private(set) var interruptions = 0

  public init() {}

  public var isUp: Bool {
    switch state {
    case .connected, .resumed: true
    case .idle, .connecting, .lost, .refused: false
    }
  }

  func answered() {
    if !isUp { state = .connected }
  }

  func interrupted(_ interruption: Interruption) {
    interruptions += 1
    state = .resumed(interruption)
  }

  /// Nothing of a task that was cancelled counts: its client is not the present one any more.
  func failed(_ error: ChaosError) {
    guard !Task.isCancelled else { return }
    if error.isConnectionTrouble {
      state = .lost(error)
    } else {
      answered()
    }
  }
}
