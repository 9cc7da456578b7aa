import Foundation

/// What an experiment that has ended did.
public struct Report: Sendable, Hashable {
  /// What was measured, with the interval that holds 95 %: a bound is nil where too little was
  /// measured for it.
  public struct Figure: Sendable, Hashable {
    public let value: Double
    public let low: Double?
    public let high: Double?
    public let unit: String
  }

  /// What one parameter asked for and what came of it over all targets.
  public struct Result: Sendable, Hashable, Identifiable {
    public let faultIndex: Int
    public let name: String
    /// As given, with its unit.
    public let asked: String
    /// Nil when nothing was measured; `reason` says why.
    public let measured: Figure?
    public let reason: String
    /// Why what was measured has no bounds at all; empty when it has.
    public let noIntervalReason: String
    public var id: String { "\(faultIndex) \(name)" }

    init(_ json: JSON) {
      faultIndex = json["faultIndex"].int
      name = json["name"].text
      asked = json["asked"].text
      let figure = Figure(
        value: json["value"].number, low: json["low"].optionalNumber,
        high: json["high"].optionalNumber, unit: json["unit"].text)
      measured = json["measured"].flag ? figure : nil
      reason = json["reason"].text
      noIntervalReason = json["noIntervalReason"].text
    }
  }

  /// Request times of one phase over all targets.
  public struct Phase: Sendable, Hashable {
    public let requests: UInt64
    /// Nil when nothing was measured.
    public let p50: Figure?
    public let p99: Figure?

    init(_ json: JSON) {
      requests = json["requests"].unsigned
      let percentiles = json["percentiles"].list
      let figure = { (percent: Double) -> Figure? in
        percentiles.first { $0["percent"].number == percent }.map {
          Figure(
            value: $0["valueMs"].number, low: $0["lowMs"].optionalNumber,
            high: $0["highMs"].optionalNumber, unit: "ms")
        }
      }
      p50 = figure(50)
      p99 = figure(99)
    }
  }

  public let experiment: Experiment
  public let results: [Result]
  public let before: Phase
  public let during: Phase
  public let after: Phase

  init(_ json: JSON) {
    experiment = Experiment(json["experiment"])
    results = json["parameters"].list.filter { $0["targetId"].text.isEmpty }.map { Result($0) }
    before = Phase(json["before"])
    during = Phase(json["during"])
    after = Phase(json["after"])
  }
}
