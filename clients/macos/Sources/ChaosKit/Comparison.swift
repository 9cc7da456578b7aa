/// One parameter of an experiment's fault: what was asked for beside what is measured now, over all
/// targets.
public struct Comparison: Sendable, Hashable, Identifiable {
  public let faultIndex: Int
  public let name: String
  /// As given, or filled in by the server.
  public let requested: String
  public let unit: String
  /// In `unit`; nil while nothing has been measured.
  public let measured: Double?
  public var id: String { "\(faultIndex) \(name)" }

  /// Parameters that say what measures them, for the faults of `experiment`; not those that only a
  /// report can compare. `samples` are the newest of each target.
  static func all(
    _ experiment: Experiment, kinds: [FaultKind], samples: some Collection<MetricSample>
  ) -> [Comparison] {
    experiment.faults.enumerated().flatMap { index, fault in
      let parameters = kinds.first { $0.name == fault.kind }?.parameters ?? []
      let counters = samples.flatMap(\.faults).filter { $0.faultIndex == index }
      return parameters.filter(\.isMeasuredLive).compactMap { parameter in
        fault.parameters[parameter.name].map { requested in
          Comparison(
            faultIndex: index, name: parameter.name, requested: requested, unit: parameter.unit,
            measured: measured(parameter, counters))
        }
      }
    }
  }

  private static func measured(_ parameter: Parameter, _ counters: [MetricSample.Counters])
    -> Double?
  {
    let sum = { (value: KeyPath<MetricSample.Counters, UInt64>) in
      counters.reduce(0.0) { $0 + Double($1[keyPath: value]) }
    }
    if parameter.measuredBy == Parameter.delayCounter {
      let nanosecondsPerUnit = ["ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9][parameter.unit]
      let measured = sum(\.delaysMeasured)
      guard let nanosecondsPerUnit, measured > 0 else { return nil }
      return sum(\.delayGivenNanoseconds) / measured / nanosecondsPerUnit
    }
    if parameter.measuredBy == Parameter.rateCounter {
      let busy = sum(\.linkBusyNanoseconds)
      guard parameter.unit == "bps", busy > 0 else { return nil }
      return 8e9 * sum(\.linkBytes) / busy
    }
    let matched = sum(\.matched)
    guard let counter = MetricSample.Counters.named(parameter.measuredBy), matched > 0 else {
      return nil
    }
    return Swift.min(100, 100 * sum(counter) / matched)
  }
}

extension MetricSample.Counters {
  /// A counter of packets by the name that a fault kind's parameters give it; nil for one that this
  /// client does not know.
  static func named(_ name: String) -> KeyPath<Self, UInt64>? {
    switch name {
    case "dropped": \.dropped
    case "delayed": \.delayed
    case "duplicated": \.duplicated
    case "corrupted": \.corrupted
    case "reordered": \.reordered
    case "queued": \.queued
    default: nil
    }
  }
}
