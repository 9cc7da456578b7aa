import Foundation

/// What mutual TLS needs: each the path of a PEM file, or the PEM text itself.
public struct Credentials: Sendable, Hashable {
  public var authority: String
  public var certificate: String
  public var key: String

  public init(authority: String, certificate: String, key: String) {
    self.authority = authority
    self.certificate = certificate
    self.key = key
  }
}

/// The control plane, as one object: fails over between its addresses, and resumes streams.
///
/// Every call throws `ChaosError`, or `CancellationError` when its task is cancelled; that ends the
/// call on the server too. Streams end by throwing why, or finish when nothing can follow. When the
/// last reference goes, everything it has begun is cancelled.
public final class ChaosClient: Sendable {
  private let native: NativeClient

  /// Makes no connection yet. `addresses` such as "a:7400,b:7400"; empty: the variable
  /// FAULTLINE_ADDRESS, else 127.0.0.1:7400. `timeout` is a call's with all its attempts, 10 s when
  /// nil. Throws for an address that is none, credentials that cannot serve, and an address beyond
  /// loopback without credentials.
  public init(addresses: String, credentials: Credentials? = nil, timeout: Duration? = nil) throws {
    native = try NativeClient(addresses: addresses, credentials: credentials, timeout: timeout)
  }

  /// The experiment may have begun all the same when this throws `unavailable`, `deadlineExceeded`
  /// or `CancellationError`: asking again with the same `requestID` begins it only once.
  public func start(_ new: NewExperiment) async throws -> Experiment {
    Experiment(try await call("StartExperiment", new.json)["experiment"])
  }

  /// Returns when every target confirmed its revert, or after `wait`. Of many large experiments the
  /// later ones come without `faults` and `targets`.
  @discardableResult
  public func stop(
    _ experimentIDs: [String], reason: String = "", wait: Duration = .zero
  ) async throws -> [Experiment] {
    let answer = try await call(
      "StopExperiment",
      ["experimentIds": experimentIDs, "reason": reason, "wait": JSON.text(wait)])
    return answer["experiments"].list.map(Experiment.init)
  }

  @discardableResult
  public func stopAll(reason: String = "", wait: Duration = .zero) async throws -> [Experiment] {
    let answer = try await call(
      "StopExperiment", ["all": true, "reason": reason, "wait": JSON.text(wait)])
    return answer["experiments"].list.map(Experiment.init)
  }

  public func experiment(_ id: String) async throws -> Experiment {
    Experiment(try await call("GetExperiment", ["experimentId": id])["experiment"])
  }

  /// Newest first, `limit` at most (1 to 1000).
  public func experiments(limit: Int = 100) async throws -> [Experiment] {
    var all: [Experiment] = []
    var token = ""
    repeat {
      let page = try await call(
        "ListExperiments", ["pageSize": limit - all.count, "pageToken": token])
      all += page["experiments"].list.map(Experiment.init)
      token = page["nextPageToken"].text
    } while !token.isEmpty && all.count < limit
    return all
  }

  /// `failedPrecondition` with reason NOT_ENDED or NO_REPORT: not yet.
  public func report(_ experimentID: String) async throws -> Report {
    Report(try await call("GetReport", ["experimentId": experimentID])["report"])
  }

  public func faultKinds() async throws -> [FaultKind] {
    try await call("ListFaultKinds")["kinds"].list.map(FaultKind.init)
  }

  public func agents() async throws -> [Agent] {
    try await call("ListAgents")["agents"].list.map(Agent.init)
  }

  /// Those that a selector matches; empty: all.
  public func targets(_ selector: String = "") async throws -> [Target] {
    try await call("ListTargets", ["target": selector])["targets"].list.map(Target.init)
  }

  /// Answered without a quorum too.
  public func cluster() async throws -> Cluster {
    Cluster(try await call("GetCluster"))
  }

  /// Every update, in order, over failures of nodes: at most `mostAtOnce` together. Of updates that
  /// are not taken in time about a thousand are kept; the server merges what follows, and counts
  /// that in `mergedBatches`. Finishes after the last of the named experiments has ended, each of
  /// which is among some batch's `ends`.
  public func metrics(
    _ request: MetricRequest, mostAtOnce: Int = 256
  ) throws -> AsyncThrowingStream<MetricBatch, any Error> {
    let stream = NativeMetrics(native, try JSON.data(request.json), mostAtOnce: mostAtOnce)
    return AsyncThrowingStream { try await stream.next() }
  }

  /// The present state of the experiments first, then every change.
  public func watchExperiments() throws -> AsyncThrowingStream<ExperimentChange, any Error> {
    let stream = NativeWatch(native, Data())
    return AsyncThrowingStream {
      guard let (data, interruption) = try await stream.next() else { return nil }
      let json = try JSON(parsing: data)
      return ExperimentChange(
        experiments: json["experiments"].list.map(Experiment.init),
        revision: json["revision"].unsigned, partial: json["partial"].flag,
        interruption: interruption)
    }
  }

  private func call(_ method: String, _ request: [String: Any] = [:]) async throws -> JSON {
    try JSON(parsing: try await native.call(method, try JSON.data(request)))
  }
}
