/// Asks until the control plane has answered: what an operator wants ended must not be forgotten
/// because an election is going on. For what may be asked twice. Gives up after `patience` with the
/// last error, and at once for an answer that refuses; `onTrouble` is told of each attempt that fails.
@MainActor func persist<Value: Sendable>(
  for patience: Duration, pause: Duration = .milliseconds(500),
  _ ask: () async throws -> Value, onTrouble: (ChaosError) -> Void = { _ in }
) async throws -> Value {
  let clock = ContinuousClock()
  let deadline = clock.now + patience
  while true {
    do {
      return try await ask()
    } catch let error as ChaosError where error.isConnectionTrouble && clock.now < deadline {
      onTrouble(error)
      try await Task.sleep(for: pause)
    }
  }
}
