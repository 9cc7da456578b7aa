import Foundation

/// A thing on a host that faults can be put on.
public struct Target: Sendable, Hashable, Identifiable {
  public let id: String
  public let name: String
  public let agentID: String
  public let labels: [String: String]
  public let ports: [Int]

  /// Selects exactly this target.
  public var selector: String { "target:\(id)" }

  /// "service:checkout, version:v1"
  public var labelText: String {
    labels.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: ", ")
  }

  init(_ json: JSON) {
    id = json["targetId"].text
    name = json["name"].text
    agentID = json["agentId"].text
    labels = json["labels"].texts
    ports = json["ports"].list.map(\.int)
  }
}

public struct Agent: Sendable, Hashable, Identifiable {
  /// Something the agent's kernel can or cannot do.
  public struct Capability: Sendable, Hashable, Identifiable {
    public let name: String
    public let available: Bool
    /// A sentence when it is not.
    public let reason: String
    public var id: String { name }
  }

  public let id: String
  public let hostname: String
  public let version: String
  public let kernel: String
  public let connected: Bool
  /// The controller that holds its stream.
  public let nodeID: UInt64
  public let capabilities: [Capability]
  public let targets: [Target]
  public let lastSeen: Date?

  init(_ json: JSON) {
    id = json["agentId"].text
    hostname = json["hostname"].text
    version = json["softwareVersion"].text
    kernel = json["kernel"].text
    connected = json["connected"].flag
    nodeID = json["nodeId"].unsigned
    capabilities = json["capabilities"].list.map {
      Capability(name: $0["name"].text, available: $0["available"].flag, reason: $0["reason"].text)
    }
    targets = json["targets"].list.map(Target.init)
    lastSeen = json["lastSeen"].time
  }
}

/// The control plane as one of its members sees it.
public struct Cluster: Sendable, Hashable {
  public struct Member: Sendable, Hashable, Identifiable {
    public enum Role: String, Sendable {
      case unknown = "UNSPECIFIED"
      case leader = "LEADER"
      case follower = "FOLLOWER"
      case candidate = "CANDIDATE"
      case failed = "FAILED"
    }

    public let id: UInt64
    public let address: String
    public let voter: Bool
    public let reachable: Bool
    public let role: Role
    public let version: String
    public let lagEntries: UInt64
    /// 0 when not measured.
    public let roundTripMicroseconds: UInt64
  }

  public let id: String
  public let term: UInt64
  /// 0: nobody who was reached leads.
  public let leaderID: UInt64
  /// Without, nothing can be written.
  public let hasQuorum: Bool
  public let members: [Member]
  public let changePending: Bool

  init(_ json: JSON) {
    id = json["clusterId"].text
    term = json["term"].unsigned
    leaderID = json["leaderId"].unsigned
    hasQuorum = json["hasQuorum"].flag
    changePending = json["changePending"].flag
    members = json["members"].list.map {
      Member(
        id: $0["nodeId"].unsigned, address: $0["address"].text, voter: $0["voter"].flag,
        reachable: $0["reachable"].flag,
        role: $0["role"].name(without: "MEMBER_ROLE_", or: .unknown), version: $0["version"].text,
        lagEntries: $0["lagEntries"].unsigned, roundTripMicroseconds: $0["roundTripUs"].unsigned)
    }
  }
}
