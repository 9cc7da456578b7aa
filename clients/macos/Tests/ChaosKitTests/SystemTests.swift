import Foundation
import Testing

@testable import ChaosKit

/// Against real controllers, one at a time.
@MainActor @Suite(
  .serialized, .timeLimit(.minutes(5)),
  .enabled(if: TestSystem.port != nil, "scripts/test-swift.sh runs the system"))
struct SystemTests {
  let system = TestSystem.shared
  let checkout = "service:checkout,version:v1"

  private func connectedDesk(_ addresses: String) async throws -> Desk {
    let desk = Desk()
    desk.connect(ConnectionSettings(addresses: addresses))
    try await eventually("the desk does not connect") {
      desk.experiments.isLoaded && desk.targets.value?.isEmpty == false
    }
    return desk
  }

  private func addresses(_ words: String) async throws -> String {
    try await system.ask(words)["addresses"] ?? ""
  }

  @Test func aFaultIsStartedSeenCarriedOverTheLossOfTheLeaderStoppedAndReported() async throws {
    let desk = try await connectedDesk(
      try await {
        let addresses = try await addresses("cluster 3")
        try await system.ask("agent")
        return addresses
      }())
    defer { desk.disconnect() }
    await desk.latencyTest(target: checkout)
    let live = try #require(desk.live, "\(desk.test.refusal?.message ?? "")")
    try await eventually("it does not show as running") { live.experiment?.status == .running }
    try await eventually("p99 stays below 100 ms") { live.p99Milliseconds >= 100 }
    try await eventually("no delay is measured") { (live.comparisons.first?.measured ?? 0) >= 100 }
    #expect(live.comparisons.first?.requested.hasPrefix("100") == true)

    try await system.ask("kill-leader")
    let before = live.updates
    try await eventually("the stream does not go on") { live.updates > before + 20 }
    #expect(live.missed == 0 && live.uncounted == 0)
    try await eventually("no node answers") { desk.connection.isUp }

    await desk.stopLive()
    #expect(live.stopError == nil)
    try await eventually("the experiment does not end") {
      desk.experiments.ended.contains { $0.id == live.experimentID && $0.status == .completed }
    }
    try await eventually("the stream does not end") { live.stream == .finished }
    // Reports are written when every member can read them: the lost one has to be back.
    try await system.ask("restart")
    let report = ReportModel()
    await report.load(try #require(desk.client), live.experimentID)
    let measured = report.report?.results.first?.measured
    #expect((measured?.value ?? 0) > 50, "\(String(describing: report.error))")
    desk.disconnect()
    try await expectNothingAlive()
  }

  @Test func cancellingATaskEndsTheStreamOnTheServer() async throws {
    let client = try ChaosClient(addresses: try await addresses("cluster 1"))
    let reading = Task {
      for try await _ in try client.metrics(MetricRequest(all: true)) {}
    }
    try await eventually("the server has no subscriber") {
      try await system.ask("subscribers")["count"] == "1"
    }
    reading.cancel()
    _ = await reading.result
    try await eventually("the server keeps its subscriber") {
      try await system.ask("subscribers")["count"] == "0"
    }
  }

  @Test func aCallThatIsCancelledThrowsCancellationAndFreesEverything() async throws {
    try await system.ask("cluster 1")
    try await expectNothingAlive()
    do {
      // Nobody answers there, and the call would go on looking for somebody.
      let client = try ChaosClient(addresses: "127.0.0.1:9", timeout: .seconds(3600))
      let calls = (0..<50).map { _ in Task { try await client.cluster() } }
      for call in calls { call.cancel() }
      for call in calls {
        await #expect(throws: CancellationError.self) { try await call.value }
      }
    }
    try await expectNothingAlive()
  }

  @Test func mutualTlsWorksAndAStrangersCertificateIsRefused() async throws {
    let facts = try await system.ask("tls")
    func client(_ certificate: String, _ ca: String) throws -> ChaosClient {
      try ChaosClient(
        addresses: facts["addresses"]!,
        credentials: Credentials(
          authority: facts[ca]!, certificate: facts[certificate]!,
          key: facts[certificate.replacingOccurrences(of: "certificate", with: "key")]!),
        timeout: .seconds(2))
    }
    try await eventually("our own certificate is not taken") {
      (try? await client("certificate", "ca").cluster().hasQuorum) == true
    }
    let refused = await chaosError {
      _ = try await client("other_certificate", "other_ca").cluster()
    }
    #expect(refused?.isConnectionTrouble == true)

    let mixed = await chaosError {
      _ = try ChaosClient(
        addresses: facts["addresses"]!,
        credentials: Credentials(
          authority: facts["ca"]!, certificate: facts["certificate"]!, key: facts["other_key"]!))
    }
    #expect(mixed?.violations.first?.field == "tls.key_file")
    #expect(mixed?.message.contains("PRIVATE KEY") == false)
  }

  @Test func aServerThatIsGoneIsToldAndFoundAgain() async throws {
    let addresses = try await addresses("cluster 1")
    try await system.ask("flood 1")
    let desk = try await connectedDesk(addresses)
    defer { desk.disconnect() }
    await desk.latencyTest(target: checkout)
    let live = try #require(desk.live, "\(desk.test.refusal?.message ?? "")")
    try await system.ask("kill-all")
    try await eventually("nobody notices") {
      if case .lost(let error) = desk.connection.state { error.code == .unavailable } else { false }
    }
    let client = try ChaosClient(addresses: addresses)
    let error = await chaosError { _ = try await client.agents() }
    #expect(error?.reason == "UNREACHABLE")
    // What is stopped meanwhile is stopped as soon as somebody is there again.
    let stopping = Task { await desk.stopLive() }
    try await eventually("the stop's trouble is not told") { live.stopError != nil }
    #expect(live.isStopping)
    try await system.ask("restart")
    try await eventually("it is not found again") { desk.connection.isUp }
    await stopping.value
    #expect(live.stopError == nil)
    try await eventually("the experiment does not end") {
      desk.experiments.ended.contains { $0.id == live.experimentID }
    }
  }

  @Test func theFormIsMadeByTheServerAndItsAnswersStandBesideTheFields() async throws {
    let addresses = try await addresses("cluster 1")
    try await system.ask("flood 1")
    let desk = try await connectedDesk(addresses)
    defer { desk.disconnect() }
    let client = try #require(desk.client)
    let form = desk.form
    await form.load(client)
    let kind = try #require(
      form.kinds.first { $0.parameters.contains { $0.measuredBy == Parameter.delayCounter } })
    for measured in form.kinds.flatMap(\.parameters).filter(\.isMeasuredLive).map(\.measuredBy) {
      #expect(
        measured == Parameter.delayCounter
          || measured == Parameter.rateCounter || MetricSample.Counters.named(measured) != nil, "\(measured)")
    }
    form.kindName = kind.name
    let delay = try #require(
      form.fields.first { $0.parameter.measuredBy == Parameter.delayCounter })
    form.target = checkout
    await desk.latencyTest(target: "service:nobody")
    #expect(desk.test.refusal != nil && desk.live == nil)
    #expect(form.target == checkout && form.error == nil, "the form is not the test's")
    delay.text = "-5"
    #expect(await desk.submit() == false)
    #expect(delay.problem?.field == "parameters.\(delay.id)")
    #expect(delay.problem?.allowed.contains("60000") == true)

    delay.text = "20"
    form.duration = "soon"
    #expect(await desk.submit() == false)
    #expect(form.durationProblem?.allowed == DurationText.allowed)
    form.duration = "48h"
    #expect(await desk.submit() == false)
    #expect(form.durationProblem?.value.isEmpty == false && form.error == nil)

    form.duration = "1m"
    form.target = "service:"
    #expect(await desk.submit() == false)
    #expect(form.targetProblem != nil)
    form.target = "service:nobody"
    #expect(await desk.submit() == false)
    #expect(form.targetProblem != nil || form.error != nil)

    form.target = checkout
    #expect(await desk.submit())
    #expect(delay.problem == nil && form.targetProblem == nil && form.durationProblem == nil)
    let delayed = desk.live?.experimentID
    // Another fault goes beside it; a second of a kind that answers would contradict that one.
    let answering = try #require(
      form.kinds.first { $0.parameters.contains { $0.name == "failure" } })
    form.kindName = answering.name
    #expect(await desk.submit())
    let holder = desk.live?.experimentID
    #expect(holder != delayed)
    #expect(await desk.submit() == false)
    #expect(form.error?.reason == "TARGET_BUSY")
    #expect(form.error?.metadata["experiment_id"] == holder)
  }

  @Test func haltEndsEverythingOnlyAfterItWasConfirmed() async throws {
    let addresses = try await addresses("cluster 1")
    try await system.ask("flood 1")
    var announced: [Announcement] = []
    let desk = Desk { announced.append($0) }
    defer { desk.disconnect() }
    desk.connect(ConnectionSettings(addresses: addresses))
    try await eventually("no target") { desk.targets.value?.isEmpty == false }
    await desk.latencyTest(target: checkout)
    try await eventually("it does not run") { desk.experiments.open.first?.status == .running }
    await desk.confirmHalt()
    #expect(desk.halt.state == .ready)
    #expect(desk.experiments.open.count == 1)
    desk.halt.ask()
    await desk.confirmHalt()
    #expect(desk.halt.state == .halted(stopped: 1, mayBeFaulty: 0))
    try await eventually("something is still open") { desk.experiments.open.isEmpty }
    #expect(announced.map(\.what) == [.running, .completed])
  }

  @Test func tenThousandUpdatesASecondNeitherGrowNorLoseAny() async throws {
    let addresses = try await addresses("cluster 1")
    try await system.ask("flood 200")
    let client = try ChaosClient(addresses: addresses)
    try await eventually("no targets") { try await client.targets().count == 200 }
    let kind = try #require(
      try await client.faultKinds().first { kind in
        kind.parameters.contains { $0.measuredBy == Parameter.delayCounter }
      })
    let delay = try #require(kind.parameters.first { $0.measuredBy == Parameter.delayCounter })
    let experiment = try await client.start(
      NewExperiment(
        target: checkout, faults: [Fault(kind: kind.name, parameters: [delay.name: "1"])]))
    let live = LiveExperimentModel(experiment.id, connection: ConnectionModel(), rateHz: 50)
    let work = Task { await live.run(client) }
    try await system.ask("flood-begin \(experiment.id) 50")
    try await eventually("nothing comes") { live.updates > 20_000 }
    let before = anonymousBytes()
    let begun = live.updates + live.merged
    try await eventually("it does not go on") { live.updates + live.merged > begun + 30_000 }
    #expect(anonymousBytes() - before < 4 << 20)
    #expect(live.uncounted == 0)
    try await system.ask("flood-stop")
    work.cancel()
    await work.value
  }
}
