import Foundation

/// Every text that the application shows, in the languages of Resources. `%@` stands for what is
/// given to `callAsFunction`.
public enum Words: String, CaseIterable, Sendable {
  case experiments
  case targets
  case agents
  case cluster
  case history
  case noExperiments
  case noHistory
  case noTargets
  case noAgents
  case chooseExperiment
  case newExperiment
  case latencyTest
  case latencyTestHelp
  case start
  case stop
  case stopping
  case cancel
  case halt
  case haltQuestion
  case haltExplained
  case halting
  case halted
  case haltedUnsure
  case target
  case targetHelp
  case kind
  case duration
  case durationHelp
  case durationAllowed
  case required
  case allowed
  case p99
  case p99Axis
  case drops
  case time
  case faultBegins
  case faultEnds
  case p99Value
  case dropsValue
  case requested
  case measured
  case notMeasured
  case notMeasurable
  case atLeast
  case atMost
  case noInterval
  case missed
  case waiting
  case before
  case during
  case after
  case reportPending
  case leader
  case follower
  case candidate
  case memberFailed
  case learner
  case unreachable
  case noQuorum
  case lag
  case connected
  case disconnected
  case connectionIdle
  case connecting
  case connectionUp
  case connectionResumed
  case connectionLost
  case connectionRefused
  case statusPending
  case statusRunning
  case statusCompleted
  case statusFailed
  case statusUnknown
  case running
  case openWindow
  case quit
  case announceRunning
  case announceCompleted
  case announceFailed
  case addresses
  case addressesHelp
  case security
  case securityNone
  case securityFiles
  case securityKeychain
  case authority
  case certificate
  case key
  case choose
  case identity
  case identityHelp
  case connect

  public var text: String {
    Bundle.chaosKit.localizedString(forKey: rawValue, value: nil, table: nil)
  }

  public func callAsFunction(_ values: String...) -> String {
    values.reduce(text) { text, value in
      guard let place = text.range(of: "%@") else { return text }
      return text.replacingCharacters(in: place, with: value)
    }
  }
}

extension Bundle {
  /// Where the texts are: among the application's resources, or where the package was built.
  static let chaosKit = inside(Bundle.main.resourceURL) ?? .module

  static func inside(_ folder: URL?) -> Bundle? {
    folder.flatMap { Bundle(url: $0.appendingPathComponent("Faultline_ChaosKit.bundle")) }
  }
}
