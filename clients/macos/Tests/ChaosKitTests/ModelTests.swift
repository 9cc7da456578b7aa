import Foundation
import Testing

@testable import ChaosKit

/// What needs no server.
struct ModelTests {
  @Test(arguments: ["host:port", ",", "[::1", "a:0", "a b:7400", "::1:7400", "192.0.2.1:7400"])
  func addressesThatAreNoneAreRefusedWithWhatIsAllowed(_ addresses: String) async {
    let error = await chaosError { _ = try ChaosClient(addresses: addresses) }
    #expect(error?.code == .invalidArgument)
    #expect(error?.violations.first?.field == "address")
    #expect(error?.violations.first?.allowed.isEmpty == false)
  }

  @Test func aRingBufferKeepsTheNewestInOrder() {
    var ring = RingBuffer<Int>(capacity: 3)
    for i in 1...5 { ring.append(i) }
    #expect(Array(ring) == [3, 4, 5])
    ring[0] = 9
    #expect(Array(ring) == [9, 4, 5])
    #expect(Array(RingBuffer<Int>(capacity: 1)).isEmpty && ring.lastIndex(of: 5) == 2)
  }

  @Test func aSeriesHasOnePointATenthOfASecondAndItsWorstTarget() {
    var series = LiveSeries(capacity: 2)
    series.add(sample("a", at: 1_000, p99: 5, drops: 1))
    series.add(sample("b", at: 1_050, p99: 9, drops: 2))
    #expect(series.points.map(\.p99Milliseconds) == [9])
    #expect(series.points.map(\.packetDrops) == [3])
    series.add(sample("a", at: 1_100, p99: 4, drops: 7))
    series.add(sample("b", at: 1_090, p99: 20, drops: 2))  // late
    series.add(sample("a", at: 1_200, p99: 1, drops: 7))
    #expect(series.points.map(\.p99Milliseconds) == [4, 1])
    #expect(series.points.map(\.packetDrops) == [9, 9])
  }

  @Test func everyBatchIsAnUpdateOrMergedOrMissedAndWhatIsNoneIsToldApart() {
    var account = StreamAccount()
    account.count(sample("a", sequence: 1))
    account.count(sample("a", sequence: 2))
    account.count(sample("a", sequence: 5, merged: 2))
    account.count(sample("a", sequence: 12, merged: 1, missed: 5))
    #expect(account.uncounted == 0)
    account.count(sample("a", sequence: 14))
    account.count(sample("b", sequence: 40, missed: 7))  // before the first one
    #expect(account.updates == 6)
    #expect(account.merged == 3)
    #expect(account.missed == 5)
    #expect(account.uncounted == 1)
  }

  @Test func anEndIsNoSample() {
    let told = batch(endOf: "exp-1")
    #expect(told.samples.count == 1)
    #expect(told.ends.map(\.experimentID) == ["exp-1"])
    #expect(told.ends.first?.status == .completed)
    #expect(told.ends.first?.phase == "stopped")
    #expect(told.ends.first?.endedAt == Date(timeIntervalSince1970: 1.5))
  }

  @Test func aSampleTellsHowLongAFaultsPacketsHaveWaited() {
    let delays = sample(waitedIn: "exp-1").faultDelays
    #expect(delays.map(\.experimentID) == ["exp-1"])
    #expect(delays.map(\.faultIndex) == [1])
    #expect(delays.map(\.packets) == [9])
    #expect(delays.map(\.p50Milliseconds) == [100.5])
    #expect(delays.map(\.p99Milliseconds) == [120.25])
    #expect(delays.map(\.noRoom) == [3])
    #expect(sample("a").faultDelays.isEmpty)
  }

  @Test func messagesAreReadWithTheirDefaults() throws {
    let json = try JSON(
      parsing: Data(
        """
        {"experimentId": "exp-1", "status": "EXPERIMENT_STATUS_RUNNING", "revision": "7",
         "duration": "1.500s", "createdAt": "2026-01-31T12:00:00.250Z",
         "targets": [{"targetId": "h/t", "phase": "TARGET_PHASE_NEW_IN_A_LATER_VERSION"}]}
        """.utf8))
    let experiment = Experiment(json)
    #expect(experiment.status == .running)
    #expect(experiment.revision == 7)
    #expect(experiment.duration == .milliseconds(1500))
    #expect(experiment.createdAt == Date(timeIntervalSince1970: 1_769_860_800.25))
    #expect(experiment.endedAt == nil && experiment.reason == "" && experiment.faults.isEmpty)
    #expect(experiment.targets.first?.phase == .unknown)
    #expect(experiment.targets.first?.faultIndex == 0)
  }

  @Test func aFigureOfAReportSaysTheBoundsThatItHas() throws {
    let json = try JSON(
      parsing: Data(
        """
        {"parameters": [
           {"name": "delay_ms", "measured": true, "value": 104, "low": 99.6, "high": 108.2,
            "unit": "ms"},
           {"name": "loss_percent", "measured": true, "value": 5, "unit": "%",
            "noIntervalReason": "correlated"},
           {"name": "rate_bps", "reason": "never busy", "unit": "bps"},
           {"name": "delay_ms", "targetId": "h/t", "measured": true}],
         "before": {"percentiles": [{"percent": 99, "valueMs": 12.3, "lowMs": 11.9}]},
         "during": {"percentiles": [{"percent": 99, "valueMs": 12.3, "highMs": 12.8}]},
         "after": {"percentiles": [{"percent": 50, "valueMs": 12.3}]}}
        """.utf8))
    let report = Report(json)
    #expect(
      report.results.map(\.measuredText) == [
        "104 ms (99.6–108)", "5.00 % (\(Words.noInterval("correlated")))", "never busy",
      ])
    #expect(report.before.p99?.text == "12.3 ms (\(Words.atLeast("11.9")))")
    #expect(report.during.p99?.text == "12.3 ms (\(Words.atMost("12.8")))")
    #expect(report.after.p99 == nil && report.after.p50?.text == "12.3 ms")
  }

  @Test func durationsGoToTheServerAsItReadsThem() {
    #expect(JSON.text(.milliseconds(1500)) == "1.500000000s")
    #expect(DurationText.parse("90s") == .seconds(90))
    #expect(DurationText.parse("1.5m") == .seconds(90))
    #expect(JSON.text(.milliseconds(-1500)) == "-1.500000000s")
    for wrong in ["", "s", "10", "-1s", "1d", "nan s", "infh", "1e300h", "1e12s"] {
      #expect(DurationText.parse(wrong) == nil, "\(wrong)")
    }
  }

  @Test func whatIsMeasuredIsComparedInTheParametersUnit() throws {
    let kinds = [
      FaultKind(
        JSON([
          "name": "K",
          "parameters": [
            ["name": "delay_ms", "unit": "ms", "measuredBy": Parameter.delayCounter],
            ["name": "loss_percent", "unit": "%", "measuredBy": "dropped"],
            ["name": "duplicate_percent", "unit": "%", "measuredBy": "duplicated"],
            ["name": "corrupt_percent", "unit": "%", "measuredBy": "corrupted"],
            ["name": "reorder_percent", "unit": "%", "measuredBy": "reordered"],
            ["name": "rate_bps", "unit": "bps", "measuredBy": Parameter.rateCounter],
            ["name": "later", "unit": "%", "measuredBy": "a_counter_of_a_later_version"],
            ["name": "seed", "unit": ""],
          ],
        ]))
    ]
    let experiment = Experiment(
      JSON([
        "experimentId": "x",
        "faults": [
          [
            "kind": "K",
            "parameters": [
              "delay_ms": "100", "loss_percent": "5", "duplicate_percent": "3",
              "corrupt_percent": "2", "reorder_percent": "1", "rate_bps": "1000000", "later": "9",
              "seed": "1",
            ],
          ]
        ],
      ]))
    let none = Comparison.all(experiment, kinds: kinds, samples: [])
    #expect(none.count == 7 && none.allSatisfy { $0.measured == nil })
    let samples = [
      sample(
        "a",
        counters: counters {
          ($0.matched, $0.dropped, $0.duplicated) = (100, 10, 6)
          // What is still held has been given no delay yet.
          ($0.delayed, $0.delays_measured, $0.delay_given_ns) = (90, 50, 5_000_000_000)
        }),
      sample(
        "b",
        counters: counters {
          ($0.matched, $0.corrupted, $0.reordered) = (100, 4, 2)
          ($0.delayed, $0.delays_measured, $0.delay_given_ns) = (60, 50, 5_500_000_000)
          ($0.link_bytes, $0.link_busy_ns) = (250_000, 2_000_000_000)
        }),
    ]
    let some = Comparison.all(experiment, kinds: kinds, samples: samples)
    #expect(some.map(\.measured) == [105, 5, 3, 2, 1, 1_000_000, nil])
  }

  @Test(arguments: ["en", "zh-Hans"])
  func everyTextIsThereInEveryLanguage(_ language: String) throws {
    let folder = try #require(
      [language, language.lowercased()].lazy
        .compactMap { Bundle.chaosKit.path(forResource: $0, ofType: "lproj") }.first)
    var table: [String: String] = [:]
    let lines = try String(contentsOfFile: folder + "/Localizable.strings", encoding: .utf8)
    for line in lines.split(separator: "\n") {
      let parts = line.components(separatedBy: "\"")  // "key" = "text";
      try #require(parts.count == 5, "\(line)")
      #expect(table.updateValue(parts[3], forKey: parts[1]) == nil, "\(line) stands twice")
    }
    for words in Words.allCases {
      let text = table[words.rawValue] ?? ""
      #expect(!text.isEmpty, "\(words) in \(language)")
      let places = { (text: String) in text.components(separatedBy: "%@").count }
      #expect(places(text) == places(words.text), "\(words) in \(language)")
    }
    #expect(Set(table.keys) == Set(Words.allCases.map(\.rawValue)))
  }

  @Test func aTimeoutIsOneOrIsRefusedWithItsRange() async throws {
    _ = try ChaosClient(addresses: "127.0.0.1:9", timeout: .microseconds(1))
    for wrong in [Duration.zero, .seconds(-1), .seconds(86_401), .seconds(Int64.max)] {
      let error = await chaosError { _ = try ChaosClient(addresses: "", timeout: wrong) }
      #expect(error?.violations.first?.field == "timeout_ms")
      #expect(error?.violations.first?.allowed.isEmpty == false)
    }
  }

  @Test(arguments: [Double.nan, .infinity])
  func aNumberThatIsNoneIsAnErrorAndNotTheProgramsEnd(_ rate: Double) async throws {
    let client = try ChaosClient(addresses: "127.0.0.1:9")
    let error = await chaosError { _ = try client.metrics(MetricRequest(all: true, rateHz: rate)) }
    #expect(error?.code == .invalidArgument)
  }

  private func change(_ ids: [String], revision: UInt64, partial: Bool = false) -> ExperimentChange {
    ExperimentChange(
      experiments: ids.map {
        Experiment(JSON(["experimentId": $0, "status": "EXPERIMENT_STATUS_RUNNING"]))
      }, revision: revision, partial: partial, interruption: nil)
  }

  @MainActor @Test func aWatchThatBeginsAnewForgetsWhatIsThereNoMore() {
    let list = ExperimentListModel(connection: ConnectionModel())
    list.begin()
    list.take(change(["a", "b"], revision: 5))
    list.take(change(["c"], revision: 6))
    #expect(Set(list.open.map(\.id)) == ["a", "b", "c"])
    list.begin()
    list.take(change(["c"], revision: 9, partial: true))
    #expect(list.open.count == 3, "the state is not complete yet")
    list.take(change(["d"], revision: 9))
    #expect(Set(list.open.map(\.id)) == ["c", "d"])
  }

  @MainActor @Test func anotherControlPlanesExperimentsAreNotShownForThisOnes() {
    let desk = Desk()
    defer { desk.disconnect() }
    desk.experiments.begin()
    desk.experiments.take(change(["a"], revision: 5))
    desk.connect(ConnectionSettings(addresses: "127.0.0.1:9"))
    #expect(desk.experiments.open.isEmpty && !desk.experiments.isLoaded)
  }

  @MainActor @Test func anAnswerThatRefusesIsAnAnswer() {
    let connection = ConnectionModel()
    connection.state = .connecting
    connection.failed(ChaosError(code: .permissionDenied, reason: "", message: "not allowed"))
    #expect(connection.state == .connected)
    connection.failed(ChaosError(code: .unavailable, reason: "UNREACHABLE", message: "gone"))
    #expect(!connection.isUp)
  }

  @Test func textsTakeWhatTheySpeakOf() {
    #expect(Words.haltedUnsure("3", "1").contains("3"))
    #expect(!Words.haltedUnsure("3", "1").contains("%@"))
  }
}
