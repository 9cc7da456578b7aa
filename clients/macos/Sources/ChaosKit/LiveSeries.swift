import Foundation

/// The course of an experiment's measurements over all its targets, bounded: one point for each
/// tenth of a second, the newest `capacity` of them.
public struct LiveSeries: Sendable {
  public static let stepNanoseconds: Int64 = 100_000_000

  public struct Point: Sendable, Hashable, Identifiable {
    /// Tenths of a second of Unix time, on the agents' clocks.
    public let step: Int64
    /// The slowest target's; 0 when nothing was measured.
    public internal(set) var p99Milliseconds: Double
    public internal(set) var p50Milliseconds: Double
    public internal(set) var requestCount: UInt64
    /// Packets dropped on purpose since the experiment began, over all targets.
    public internal(set) var packetDrops: Int64
    public var id: Int64 { step }
    public var time: Date {
      Date(timeIntervalSince1970: Double(step * LiveSeries.stepNanoseconds) / 1e9)
    }
  }

  public private(set) var points: RingBuffer<Point>
  /// The newest sample of each target, by its id.
  public private(set) var latest: [String: MetricSample] = [:]
  /// Over `latest`.
  private var drops: Int64 = 0

  public init(capacity: Int = 600) { points = RingBuffer(capacity: capacity) }

  public mutating func add(_ sample: MetricSample) {
    let before = latest.updateValue(sample, forKey: sample.targetID)
    drops += sample.packetDrops - (before?.packetDrops ?? 0)
    let step = sample.timestampNanoseconds / Self.stepNanoseconds
    guard let index = points.lastIndex(where: { $0.step <= step }) else {
      if points.isEmpty { append(sample, at: step) }
      return
    }
    if points[index].step == step {
      var point = points[index]
      point.p99Milliseconds = max(point.p99Milliseconds, sample.p99Milliseconds)
      point.p50Milliseconds = max(point.p50Milliseconds, sample.p50Milliseconds)
      point.requestCount += sample.requestCount
      point.packetDrops = max(point.packetDrops, drops)
      points[index] = point
    } else if index == points.endIndex - 1 {
      append(sample, at: step)
    }
    // Otherwise a clock that is behind the others': its target still shows in `latest`.
  }

  private mutating func append(_ sample: MetricSample, at step: Int64) {
    points.append(
      Point(
        step: step, p99Milliseconds: sample.p99Milliseconds,
        p50Milliseconds: sample.p50Milliseconds, requestCount: sample.requestCount,
        packetDrops: drops))
  }
}
