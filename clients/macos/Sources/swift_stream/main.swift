// What bench/swift_stream measures: a view model takes the updates of one experiment for a while.
// Arguments: ADDRESSES EXPERIMENT SECONDS. Prints one line of JSON.
import ChaosKit
import Foundation

/// User and system time of this process, in seconds.
func cpuSeconds() -> Double { Double(clock()) / 1e6 }

/// Memory of this process that stands in no file; 0 where Linux does not say.
func anonymousBytes() -> Double {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") }
  return line.flatMap { Double($0.filter(\.isNumber)) }.map { $0 * 1024 } ?? 0
}

let arguments = CommandLine.arguments
guard arguments.count == 4, let seconds = Double(arguments[3]) else {
  print("usage: swift_stream ADDRESSES EXPERIMENT SECONDS")
  exit(2)
}
let client = try ChaosClient(addresses: arguments[1])
let model = LiveExperimentModel(arguments[2], connection: ConnectionModel(), rateHz: 50)
let work = Task { await model.run(client) }
// The chart's points are all there once, and everything is as warm as it gets.
try await Task.sleep(for: .seconds(5))
let wall = ContinuousClock()
let (begun, cpu, heap) = (wall.now, cpuSeconds(), anonymousBytes())
let (updates, merged) = (model.updates, model.merged)
let (missed, uncounted) = (model.missed, model.uncounted)
try await Task.sleep(for: .seconds(seconds))
let elapsed = (wall.now - begun) / .seconds(1)
print(
  """
  {"seconds": \(elapsed), "cpu_seconds": \(cpuSeconds() - cpu), \
  "heap_growth_bytes": \(anonymousBytes() - heap), "updates": \(model.updates - updates), \
  "merged": \(model.merged - merged), "missed": \(model.missed - missed), \
  "uncounted": \(model.uncounted - uncounted)}
  """)
work.cancel()
await work.value
