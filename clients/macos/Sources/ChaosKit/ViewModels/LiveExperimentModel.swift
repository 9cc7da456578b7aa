import Foundation
import Observation

/// One experiment while it runs: its measurements, and what was asked for beside them.
@MainActor @Observable public final class LiveExperimentModel {
  public enum Stream: Equatable, Sendable {
    case waiting
    case live
    /// The server has ended it: the experiment is over.
    case finished
    /// It is tried again.
    case failed(ChaosError)
  }

  public let experimentID: String
  public private(set) var experiment: Experiment?
  public private(set) var stream: Stream = .waiting
  public private(set) var series: LiveSeries
  public private(set) var comparisons: [Comparison] = []
  /// Why some traffic was not measured; nil when all was.
  public private(set) var notMeasurable: String?
  /// The last stop's failure.
  public private(set) var stopError: ChaosError?
  public private(set) var isStopping = false

  /// Updates that came, batches merged into them, and batches that never came: all of them are one
  /// of the three, and `uncounted` says how many are not.
  public var updates: UInt64 { account.updates }
  public var merged: UInt64 { account.merged }
  public var missed: UInt64 { account.missed }
  public var uncounted: UInt64 { account.uncounted }

  /// 0 while nothing has been measured.
  public var p99Milliseconds: Double { series.points.last?.p99Milliseconds ?? 0 }
  public var packetDrops: Int64 { series.points.last?.packetDrops ?? 0 }

  private var account = StreamAccount()
  private var kinds: [FaultKind] = []
  private let connection: ConnectionModel
  private let rateHz: Double
  private let pace: Duration

  /// `rateHz` as in `MetricRequest`. Updates are taken together, at most once in `pace`: more often
  /// than a screen shows them is of no use.
  public init(
    _ experimentID: String, connection: ConnectionModel, capacity: Int = 600, rateHz: Double = 0,
    pace: Duration = .milliseconds(30)
  ) {
    self.experimentID = experimentID
    self.connection = connection
    self.rateHz = rateHz
    self.pace = pace
    series = LiveSeries(capacity: capacity)
  }

  /// Until the experiment is over or the task is cancelled; a stream that fails is begun anew.
  public func run(_ client: ChaosClient, retryAfter: Duration = .seconds(1)) async {
    while !Task.isCancelled {
      do {
        if kinds.isEmpty { kinds = try await client.faultKinds() }
        take(try await client.experiment(experimentID))
        let request = MetricRequest(experimentIDs: [experimentID], rateHz: rateHz)
        for try await batch in try client.metrics(request) {
          guard !Task.isCancelled else { return }
          take(batch)
          try await Task.sleep(for: pace)
        }
        guard !Task.isCancelled else { return }
        take(try await client.experiment(experimentID))
        stream = .finished
        return
      } catch {
        guard let shown = error.shown else { return }
        stream = .failed(shown)
        connection.failed(shown)
      }
      try? await Task.sleep(for: retryAfter)
    }
  }

  /// The experiment's newest state, from wherever it is known.
  public func take(_ newest: Experiment) {
    guard newest.id == experimentID, newest.revision >= experiment?.revision ?? 0 else { return }
    experiment = newest
    compare()
  }

  func take(_ batch: MetricBatch) {
    stream = .live
    connection.answered()
    if let interruption = batch.interruption { connection.interrupted(interruption) }
    for sample in batch.samples {
      account.count(sample)
      series.add(sample)
    }
    notMeasurable = series.latest.values.lazy.compactMap(\.notMeasurable).first
    compare()
  }

  /// Ends the experiment, and waits up to `wait` until every target confirmed that it is gone. While
  /// the control plane cannot be reached it goes on asking, up to `patience`; `stopError` says why.
  public func stop(
    _ client: ChaosClient, wait: Duration = .seconds(10), patience: Duration = .seconds(60)
  ) async {
    isStopping = true
    defer { isStopping = false }
    stopError = nil
    do {
      let stopped = try await persist(for: patience) {
        try await client.stop([experimentID], wait: wait)
      } onTrouble: {
        stopError = $0
      }
      stopError = nil
      for experiment in stopped { take(experiment) }
    } catch {
      stopError = error.shown
    }
  }

  private func compare() {
    guard let experiment else { return }
    comparisons = Comparison.all(experiment, kinds: kinds, samples: series.latest.values)
  }
}
