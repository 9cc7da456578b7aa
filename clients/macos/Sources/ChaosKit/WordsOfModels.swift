import Foundation

extension Experiment.Status {
  public var words: Words {
    switch self {
    case .pending: .statusPending
    case .running: .statusRunning
    case .completed: .statusCompleted
    case .failed: .statusFailed
    case .unknown: .statusUnknown
    }
  }
}

extension Cluster.Member {
  /// What it is now, for people.
  public var words: Words {
    if !reachable { return .unreachable }
    switch role {
    case .leader: return .leader
    case .candidate: return .candidate
    case .failed: return .memberFailed
    case .follower, .unknown: return voter ? .follower : .learner
    }
  }
}

extension Announcement.What {
  public var words: Words {
    switch self {
    case .running: .announceRunning
    case .completed: .announceCompleted
    case .failed: .announceFailed
    }
  }
}

extension ConnectionModel.State {
  public var text: String {
    switch self {
    case .idle: Words.connectionIdle.text
    case .connecting: Words.connecting.text
    case .connected: Words.connectionUp.text
    case .resumed(let interruption): Words.connectionResumed(interruption.nextAddress)
    case .lost: Words.connectionLost.text
    case .refused: Words.connectionRefused.text
    }
  }

  /// The server's or the library's own sentence; nil when nothing is wrong.
  public var problem: ChaosError? {
    switch self {
    case .lost(let error), .refused(let error): error
    case .idle, .connecting, .connected, .resumed: nil
    }
  }
}

extension HaltModel.State {
  /// Nil when there is nothing to say.
  public var text: String? {
    switch self {
    case .ready, .confirming: nil
    case .halting: Words.halting.text
    case .halted(let stopped, 0): Words.halted("\(stopped)")
    case .halted(let stopped, let unsure): Words.haltedUnsure("\(stopped)", "\(unsure)")
    case .failed(let error): error.message
    }
  }
}

extension Report.Figure {
  /// "12.3 ms (11.9–12.8)", "12.3 ms (at least 11.9)", "12.3 ms".
  public var text: String {
    let figure = "\(value.shortText) \(unit)"
    switch (low, high) {
    case (let low?, let high?): return "\(figure) (\(low.shortText)–\(high.shortText))"
    case (let low?, nil): return "\(figure) (\(Words.atLeast(low.shortText)))"
    case (nil, let high?): return "\(figure) (\(Words.atMost(high.shortText)))"
    case (nil, nil): return figure
    }
  }
}

extension Report.Result {
  /// What was measured, or why nothing was.
  public var measuredText: String {
    guard let measured else { return reason.isEmpty ? Words.notMeasured.text : reason }
    if noIntervalReason.isEmpty { return measured.text }
    return "\(measured.text) (\(Words.noInterval(noIntervalReason)))"
  }
}

extension Double {
  /// "0.85", "12.3", "104": three digits that say something.
  public var shortText: String {
    let digits = magnitude < 10 ? 2 : magnitude < 100 ? 1 : 0
    return String(format: "%.\(digits)f", self)
  }
}
