import Foundation

/// What an experiment that has ended did.
public struct Report: Sendable, Hashable {
  /// What one parameter asked for and what came of it over all targets.
  public struct Result: Sendable, Hashable, Identifiable {
    public let faultIndex: Int
    public let name: String
    /// As given, with its unit.
    public let asked: String
    public let unit: String
    /// Nil when nothing was measured; `reason` says why.
    public let value: Double?
    /// The interval that holds 95 %; nil where too little was measured for a bound.
    public let low: Double?
    public let high: Double?
    public let reason: String
    public var id: String { "\(faultIndex) \(name)" }
  }

  /// Request times of one phase over all targets.
  public struct Phase: Sendable, Hashable {
    public let requests: UInt64
    /// Nil when nothing was measured.
    public let p50Milliseconds: Double?
    public let p99Milliseconds: Double?

    init(_ json: JSON) {
      requests = json["requests"].unsigned
      let percentiles = json["percentiles"].list
      let value = { (percent: Double) in
        percentiles.first { $0["percent"].number == percent }.map { $0["valueMs"].number }
      }
      p50Milliseconds = value(50)
      p99Milliseconds = value(99)
    }
  }

  public let experiment: Experiment
  public let results: [Result]
  public let before: Phase
  public let during: Phase
  public let after: Phase

  init(_ json: JSON) {
    experiment = Experiment(json["experiment"])
    results = json["parameters"].list.filter { $0["targetId"].text.isEmpty }.map {
      Result(
        faultIndex: $0["faultIndex"].int, name: $0["name"].text, asked: $0["asked"].text,
        unit: $0["unit"].text, value: $0["measured"].flag ? $0["value"].number : nil,
        low: $0["low"].optionalNumber, high: $0["high"].optionalNumber, reason: $0["reason"].text)
    }
    before = Phase(json["before"])
    during = Phase(json["during"])
    after = Phase(json["after"])
  }
}
