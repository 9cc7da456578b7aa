import Observation

/// How to reach the control plane.
public struct ConnectionSettings: Sendable, Hashable {
  public var addresses: String
  /// Nil: without TLS, which only loopback takes.
  public var credentials: Credentials?

  public init(addresses: String = "", credentials: Credentials? = nil) {
    self.addresses = addresses
    self.credentials = credentials
  }
}

/// The operator's desk: one connection, and the models of everything that is shown of it.
@MainActor @Observable public final class Desk {
  public let connection: ConnectionModel
  public let experiments: ExperimentListModel
  public let cluster: ClusterModel
  public let agents: AgentsModel
  public let targets: TargetsModel
  public let form = NewExperimentModel()
  /// What the one-button test begins: the form stays as it was left.
  public let test = NewExperimentModel()
  public let halt = HaltModel()
  public var isFormShown = false
  /// Nil until settings were applied that can be used.
  public private(set) var client: ChaosClient?
  /// Of the open experiment that is looked at.
  public private(set) var live: LiveExperimentModel?

  private var work: [Task<Void, Never>] = []
  private var liveWork: Task<Void, Never>?

  /// `announce` is told what the operator should be notified of.
  public init(announce: @escaping @MainActor (Announcement) -> Void = { _ in }) {
    let connection = ConnectionModel()
    self.connection = connection
    experiments = ExperimentListModel(connection: connection)
    cluster = ClusterModel(connection: connection) { try await $0.cluster() }
    agents = AgentsModel(connection: connection) { try await $0.agents() }
    targets = TargetsModel(connection: connection) { try await $0.targets() }
    experiments.onChange = { [weak self] before, now in
      self?.live?.take(now)
      if let announcement = Announcement(before: before, now: now) { announce(announcement) }
    }
  }

  /// Leaves what was connected, with all that is known of it, and connects. Settings that cannot be
  /// used show in `connection`.
  public func connect(_ settings: ConnectionSettings) {
    disconnect()
    experiments.reset()
    cluster.reset()
    agents.reset()
    targets.reset()
    do {
      let client = try ChaosClient(
        addresses: settings.addresses, credentials: settings.credentials)
      self.client = client
      connection.state = .connecting
      work = [
        Task { [experiments] in await experiments.run(client) },
        Task { [cluster] in await cluster.run(client) },
        Task { [agents] in await agents.run(client) },
        Task { [targets] in await targets.run(client) },
        Task { [form] in await form.load(client) },
      ]
    } catch {
      if let shown = error.shown { connection.state = .refused(shown) }
    }
  }

  /// Cancels everything that runs.
  public func disconnect() {
    look(at: nil)
    for task in work { task.cancel() }
    work = []
    client = nil
    connection.state = .idle
  }

  /// Follows that experiment's measurements in place of another's.
  public func look(at experimentID: String?) {
    guard experimentID != live?.experimentID else { return }
    liveWork?.cancel()
    liveWork = nil
    live = nil
    guard let experimentID, let client else { return }
    let model = LiveExperimentModel(experimentID, connection: connection)
    if let known = experiments[experimentID] { model.take(known) }
    live = model
    liveWork = Task { await model.run(client) }
  }

  public var lookedAt: String? {
    get { live?.experimentID }
    set { look(at: newValue) }
  }

  /// Begins the test, and looks at it; false when it was refused.
  @discardableResult public func latencyTest(target: String) async -> Bool {
    guard let client, let experiment = await test.latencyTest(client, target: target) else {
      return false
    }
    look(at: experiment.id)
    return true
  }

  /// Begins what the form says, and looks at it; false when it was refused.
  public func submit() async -> Bool {
    guard let client, let experiment = await form.submit(client) else { return false }
    look(at: experiment.id)
    return true
  }

  public func stopLive() async {
    if let client, let live { await live.stop(client) }
  }

  public func confirmHalt() async {
    if let client { await halt.confirm(client) }
  }
}
