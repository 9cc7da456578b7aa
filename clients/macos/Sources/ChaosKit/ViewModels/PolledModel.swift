import Observation

/// What is asked for anew every few seconds while somebody looks.
@MainActor @Observable public final class PolledModel<Value: Sendable> {
  /// Nil before the first answer; afterwards the last one, also while `error` is set.
  public private(set) var value: Value?
  public private(set) var error: ChaosError?

  private let connection: ConnectionModel
  private let ask: @Sendable (ChaosClient) async throws -> Value

  public init(
    connection: ConnectionModel, ask: @escaping @Sendable (ChaosClient) async throws -> Value
  ) {
    self.connection = connection
    self.ask = ask
  }

  public func refresh(_ client: ChaosClient) async {
    do {
      let answer = try await ask(client)
      guard !Task.isCancelled else { return }
      value = answer
      error = nil
      connection.answered()
    } catch {
      guard let shown = error.shown, !Task.isCancelled else { return }
      self.error = shown
      connection.failed(shown)
    }
  }

  /// As before the first answer.
  func reset() {
    value = nil
    error = nil
  }

  /// Until the task is cancelled.
  public func run(_ client: ChaosClient, every pause: Duration = .seconds(2)) async {
    while !Task.isCancelled {
      await refresh(client)
      try? await Task.sleep(for: pause)
    }
  }
}

public typealias ClusterModel = PolledModel<Cluster>
public typealias AgentsModel = PolledModel<[Agent]>
public typealias TargetsModel = PolledModel<[Target]>
