import CFaultline
import Foundation

@testable import ChaosKit

/// A sample as the C interface would give it.
func sample(
  _ target: String, at milliseconds: Int64 = 0, p99: Double = 0, drops: Int64 = 0,
  sequence: UInt64 = 1, merged: UInt64 = 0, missed: UInt64 = 0,
  counters: fl_fault_counters? = nil
) -> MetricSample {
  withUnsafePointer(to: counters ?? fl_fault_counters()) { fault in
    target.withCString { target in
      "".withCString { empty in
        var update = fl_update()
        update.experiment_id = empty
        update.target_id = target
        update.agent_id = empty
        update.not_measurable_reason = empty
        update.measurable = 1
        update.sequence = sequence
        update.timestamp_ns = milliseconds * 1_000_000
        update.p99_latency_ms = p99
        update.packet_drops = drops
        update.merged_batches = merged
        update.missed_batches = missed
        update.faults = fault
        update.fault_count = counters == nil ? 0 : 1
        return MetricSample(update)
      }
    }
  }
}

/// A measurement and the end after it, together, as the C interface would give them.
func batch(endOf experiment: String) -> MetricBatch {
  experiment.withCString { experiment in
    "EXPERIMENT_STATUS_COMPLETED".withCString { status in
      "stopped".withCString { text in
        let end = fl_end(status: status, phase: text, reason: text, ended_at_ns: 1_500_000_000)
        return withUnsafePointer(to: end) { end in
          var update = fl_update()
          update.experiment_id = experiment
          update.target_id = text
          update.agent_id = text
          update.not_measurable_reason = text
          var last = update
          last.end = end
          return [update, last].withUnsafeBufferPointer { MetricBatch($0, interruption: nil) }
        }
      }
    }
  }
}

/// A sample of a target on which a fault of that experiment has let packets wait.
func sample(waitedIn experiment: String) -> MetricSample {
  experiment.withCString { experiment in
    let delays = fl_fault_delays(
      experiment_id: experiment, fault_index: 1, packets: 9, p50_ms: 100.5, p99_ms: 120.25,
      no_room: 3)
    return withUnsafePointer(to: delays) { delays in
      var update = fl_update()
      update.experiment_id = experiment
      update.target_id = experiment
      update.agent_id = experiment
      update.not_measurable_reason = experiment
      update.fault_delays = delays
      update.fault_delay_count = 1
      return MetricSample(update)
    }
  }
}

/// What a fault counted on packets that matched: by the names of the C interface.
func counters(_ set: (inout fl_fault_counters) -> Void) -> fl_fault_counters {
  var counters = fl_fault_counters()
  set(&counters)
  return counters
}

/// Memory of this process that stands in no file; 0 where Linux does not say.
func anonymousBytes() -> Int {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
  return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 } ?? 0
}
