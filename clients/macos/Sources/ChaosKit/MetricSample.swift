import CFaultline
import Foundation

/// What was measured on one target: one update of the stream that tells no end.
public struct MetricSample: Sendable, Hashable {
  /// Counters of one fault on the target, since it was armed.
  public struct Counters: Sendable, Hashable {
    public let faultIndex: Int
    public let matched: UInt64
    public let delayed: UInt64
    public let dropped: UInt64
    public let laneDropped: UInt64
    public let duplicated: UInt64
    public let corrupted: UInt64
    public let reordered: UInt64
    /// Packets that waited for a slower link.
    public let queued: UInt64
    /// Packets that have been held and passed on, the delay really added over them, and the one
    /// asked for. What is still held is in `delayed` only.
    public let delaysMeasured: UInt64
    public let delayGivenNanoseconds: UInt64
    public let delayAskedNanoseconds: UInt64
    /// What a slower link let out while more was waiting, and how long that took.
    public let linkBytes: UInt64
    public let linkBusyNanoseconds: UInt64
  }

  /// How long one fault's packets have waited, over the same time as the percentiles of the sample.
  public struct Delays: Sendable, Hashable {
    public let experimentID: String
    public let faultIndex: Int
    /// That the percentiles are of.
    public let packets: UInt64
    public let p50Milliseconds: Double
    public let p99Milliseconds: Double
    /// Packets that there was no room to tell of: not among `packets`.
    public let noRoom: UInt64
  }

  /// Empty for a target that is observed without an experiment.
  public let experimentID: String
  public let targetID: String
  public let agentID: String
  /// One start of the agent; `sequence` counts its batches without a gap.
  public let incarnation: UInt64
  public let sequence: UInt64
  /// On the agent's clock.
  public let timestampNanoseconds: Int64
  /// Over the last second; 0 when nothing was measured.
  public let p50Milliseconds: Double
  public let p99Milliseconds: Double
  public let requestCount: UInt64
  public let packetDrops: Int64
  public let packets: UInt64
  /// Earlier batches that are in this update.
  public let mergedBatches: UInt64
  /// Batches before those that never came.
  public let missedBatches: UInt64
  /// Why traffic could not be measured; nil when it could.
  public let notMeasurable: String?
  public let faults: [Counters]
  /// Only of faults with such packets.
  public let faultDelays: [Delays]

  public var time: Date { Date(timeIntervalSince1970: Double(timestampNanoseconds) / 1e9) }

  init(_ update: fl_update) {
    experimentID = String(cString: update.experiment_id)
    targetID = String(cString: update.target_id)
    agentID = String(cString: update.agent_id)
    incarnation = update.incarnation
    sequence = update.sequence
    timestampNanoseconds = update.timestamp_ns
    p50Milliseconds = update.p50_latency_ms
    p99Milliseconds = update.p99_latency_ms
    requestCount = update.request_count
    packetDrops = update.packet_drops
    packets = update.packets
    mergedBatches = update.merged_batches
    missedBatches = update.missed_batches
    notMeasurable =
      update.measurable != 0 ? nil : String(cString: update.not_measurable_reason)
    faults = (0..<update.fault_count).map { index in
      let fault = update.faults[index]
      return Counters(
        faultIndex: Int(fault.fault_index), matched: fault.matched, delayed: fault.delayed,
        dropped: fault.dropped, laneDropped: fault.lane_dropped, duplicated: fault.duplicated,
        corrupted: fault.corrupted, reordered: fault.reordered, queued: fault.queued,
        delaysMeasured: fault.delays_measured, delayGivenNanoseconds: fault.delay_given_ns,
        delayAskedNanoseconds: fault.delay_asked_ns, linkBytes: fault.link_bytes,
        linkBusyNanoseconds: fault.link_busy_ns)
    }
    faultDelays = (0..<update.fault_delay_count).map { index in
      let delays = update.fault_delays[index]
      return Delays(
        experimentID: String(cString: delays.experiment_id), faultIndex: Int(delays.fault_index),
        packets: delays.packets, p50Milliseconds: delays.p50_ms, p99Milliseconds: delays.p99_ms,
        noRoom: delays.no_room)
    }
  }
}

/// How an experiment ended: the last word of one that a stream names.
public struct ExperimentEnd: Sendable, Hashable {
  public let experimentID: String
  public let status: Experiment.Status
  public let phase: String
  public let reason: String
  public let endedAt: Date

  /// Nil for a measurement.
  init?(_ update: fl_update) {
    guard let end = update.end?.pointee else { return nil }
    experimentID = String(cString: update.experiment_id)
    status = JSON(String(cString: end.status)).name(without: "EXPERIMENT_STATUS_", or: .unknown)
    phase = String(cString: end.phase)
    reason = String(cString: end.reason)
    endedAt = Date(timeIntervalSince1970: Double(end.ended_at_ns) / 1e9)
  }
}

/// Updates that have arrived together, in order.
public struct MetricBatch: Sendable {
  public let samples: [MetricSample]
  /// No sample of these experiments follows.
  public let ends: [ExperimentEnd]
  /// The stream broke before some of them, and went on; what was lost is in `missedBatches`.
  public let interruption: Interruption?

  init(_ updates: UnsafeBufferPointer<fl_update>, interruption: Interruption?) {
    samples = updates.filter { $0.end == nil }.map { MetricSample($0) }
    ends = updates.compactMap { ExperimentEnd($0) }
    self.interruption = interruption
  }
}

/// What to subscribe to.
public struct MetricRequest: Sendable, Hashable {
  public var experimentIDs: [String]
  /// Every experiment, those that start later too.
  public var all: Bool
  /// Selector of targets that are observed with or without an experiment; empty: none.
  public var target: String
  /// Updates a second for each experiment and target, up to 50; 0 is 10.
  public var rateHz: Double

  public init(
    experimentIDs: [String] = [], all: Bool = false, target: String = "", rateHz: Double = 0
  ) {
    self.experimentIDs = experimentIDs
    self.all = all
    self.target = target
    self.rateHz = rateHz
  }

  var json: [String: Any] {
    ["experimentIds": experimentIDs, "all": all, "target": target, "rateHz": rateHz]
  }
}
