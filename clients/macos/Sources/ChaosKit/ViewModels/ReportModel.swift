import Observation

/// The report of an experiment that has ended.
@MainActor @Observable public final class ReportModel {
  public private(set) var report: Report?
  public private(set) var error: ChaosError?

  private static let notYet: Set = ["NOT_ENDED", "NO_REPORT"]

  public init() {}

  /// Asks until there is one: it is written some seconds after the end.
  public func load(
    _ client: ChaosClient, _ experimentID: String, every pause: Duration = .seconds(1)
  ) async {
    report = nil
    error = nil
    while !Task.isCancelled {
      do {
        report = try await client.report(experimentID)
        error = nil
        return
      } catch {
        guard let shown = error.shown else { return }
        self.error = shown
        guard Self.notYet.contains(shown.reason) || shown.isConnectionTrouble else { return }
      }
      try? await Task.sleep(for: pause)
    }
  }
}
