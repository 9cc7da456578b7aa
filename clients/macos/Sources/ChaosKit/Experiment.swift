import Foundation

/// One fault as a user asks for it and as it is shown.
public struct Fault: Sendable, Hashable {
  public var kind: String
  /// Parameter name to text; in answers every parameter.
  public var parameters: [String: String]

  public init(kind: String, parameters: [String: String]) {
    self.kind = kind
    self.parameters = parameters
  }

  init(_ json: JSON) {
    self.init(kind: json["kind"].text, parameters: json["parameters"].texts)
  }
}

/// One fault on one target.
public struct FaultTarget: Sendable, Hashable, Identifiable {
  public enum Phase: String, Sendable {
    case unknown = "UNSPECIFIED"
    case pending = "PENDING"
    case active = "ACTIVE"
    case reverting = "REVERTING"
    case reverted = "REVERTED"
    case refused = "REFUSED"
    case lost = "LOST"
  }

  public let faultIndex: Int
  public let targetID: String
  public let agentID: String
  public let phase: Phase
  /// Why it was refused; empty otherwise.
  public let reason: String
  public var id: String { "\(faultIndex) \(targetID)" }

  init(_ json: JSON) {
    faultIndex = json["faultIndex"].int
    targetID = json["targetId"].text
    agentID = json["agentId"].text
    phase = json["phase"].name(without: "TARGET_PHASE_", or: .unknown)
    reason = json["reason"].text
  }
}

public struct Experiment: Sendable, Hashable, Identifiable {
  public enum Status: String, Sendable {
    case unknown = "UNSPECIFIED"
    case pending = "PENDING"
    case running = "RUNNING"
    case completed = "COMPLETED"
    case failed = "FAILED"
  }

  public let id: String
  public let status: Status
  /// A finer word beside the status: "arming", "active", "stopping", ...
  public let phase: String
  public let reason: String
  /// The selector as it was given.
  public let target: String
  public let faults: [Fault]
  public let targets: [FaultTarget]
  public let duration: Duration?
  public let createdAt: Date?
  public let endsAt: Date?
  public let endedAt: Date?
  public let createdBy: String
  /// Grows with every change.
  public let revision: UInt64

  /// Something is, or may still be, faulty.
  public var isOpen: Bool { status == .pending || status == .running }

  init(_ json: JSON) {
    id = json["experimentId"].text
    status = json["status"].name(without: "EXPERIMENT_STATUS_", or: .unknown)
    phase = json["phase"].text
    reason = json["reason"].text
    target = json["target"].text
    faults = json["faults"].list.map(Fault.init)
    targets = json["targets"].list.map(FaultTarget.init)
    duration = json["duration"].duration
    createdAt = json["createdAt"].time
    endsAt = json["endsAt"].time
    endedAt = json["endedAt"].time
    createdBy = json["createdBy"].text
    revision = json["revision"].unsigned
  }
}

/// What to begin. The server fills in and checks everything.
public struct NewExperiment: Sendable, Hashable {
  public var target: String
  public var faults: [Fault]
  /// As many seconds as the server's default when nil.
  public var duration: Duration?
  /// Makes asking again harmless; one is made when it is empty.
  public var requestID: String

  public init(
    target: String, faults: [Fault], duration: Duration? = nil, requestID: String = ""
  ) {
    self.target = target
    self.faults = faults
    self.duration = duration
    self.requestID = requestID
  }

  var json: [String: Any] {
    var json: [String: Any] = ["target": target, "requestId": requestID]
    if let duration { json["duration"] = JSON.text(duration) }
    // The short form, whose errors name "parameters.x" without an index.
    if faults.count == 1 {
      json["faultType"] = faults[0].kind
      json["parameters"] = faults[0].parameters
    } else {
      json["faults"] = faults.map { ["kind": $0.kind, "parameters": $0.parameters] as [String: Any] }
    }
    return json
  }
}

/// Experiments that have changed, in order; empty when nothing that was asked for has changed yet.
public struct ExperimentChange: Sendable {
  public let experiments: [Experiment]
  /// 0 when there is only an interruption.
  public let revision: UInt64
  /// More of the same revision follows.
  public let partial: Bool
  public let interruption: Interruption?
}

/// A stream broke, and was taken up again where it stood.
public struct Interruption: Sendable, Equatable {
  public let reason: String
  public let message: String
  public let nextAddress: String
}
