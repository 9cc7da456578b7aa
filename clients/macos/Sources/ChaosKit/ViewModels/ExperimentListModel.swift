import Observation

/// All experiments, kept current by a watch.
@MainActor @Observable public final class ExperimentListModel {
  public private(set) var isLoaded = false
  /// Why the list is not current; nil when it is.
  public private(set) var error: ChaosError?
  /// Newest first.
  public private(set) var open: [Experiment] = []
  public private(set) var ended: [Experiment] = []

  /// Ended experiments that are kept, the newest of them.
  public static let endedLimit = 500

  private var byID: [String: Experiment] = [:]
  /// Named so far by the first state of a watch; nil once it is complete.
  private var listed: Set<String>?
  private let connection: ConnectionModel
  /// Told of every change after the first state.
  @ObservationIgnored
  var onChange: @MainActor (_ before: Experiment?, _ now: Experiment) -> Void = { _, _ in }

  public init(connection: ConnectionModel) { self.connection = connection }

  public subscript(id: String) -> Experiment? { byID[id] }

  /// Watches until the task is cancelled; begins anew when the watch fails.
  public func run(_ client: ChaosClient, retryAfter: Duration = .seconds(1)) async {
    while !Task.isCancelled {
      begin()
      do {
        for try await change in try client.watchExperiments() {
          guard !Task.isCancelled else { return }
          take(change)
        }
      } catch {
        guard let shown = error.shown, !Task.isCancelled else { return }
        self.error = shown
        connection.failed(shown)
      }
      try? await Task.sleep(for: retryAfter)
    }
  }

  /// A watch begins, with the present state: what that does not name is there no more.
  func begin() { listed = [] }

  /// As before the first watch.
  func reset() {
    byID = [:]
    isLoaded = false
    error = nil
    sort()
  }

  func take(_ change: ExperimentChange) {
    error = nil
    connection.answered()
    if let interruption = change.interruption {
      connection.interrupted(interruption)
      if interruption.reason == "OTHER_CLUSTER" { begin() }
    }
    listed?.formUnion(change.experiments.map(\.id))
    for experiment in change.experiments {
      let before = byID.updateValue(experiment, forKey: experiment.id)
      if isLoaded && before != experiment { onChange(before, experiment) }
    }
    // The present state comes first.
    if change.revision > 0 && !change.partial {
      isLoaded = true
      if let listed { byID = byID.filter { listed.contains($0.key) } }
      listed = nil
    }
    sort()
  }

  private func sort() {
    let newestFirst = byID.values.sorted {
      ($0.createdAt ?? .distantPast, $0.id) > ($1.createdAt ?? .distantPast, $1.id)
    }
    open = newestFirst.filter(\.isOpen)
    ended = newestFirst.filter { !$0.isOpen }
    for forgotten in ended.dropFirst(Self.endedLimit) { byID[forgotten.id] = nil }
    ended = Array(ended.prefix(Self.endedLimit))
  }
}
