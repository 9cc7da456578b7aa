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

  @Test func batchesThatCameNeitherAsUpdatesNorMergedAreCounted() {
    var account = StreamAccount()
    for (sequence, merged) in [(1, 0), (2, 0), (5, 2), (8, 1)] as [(UInt64, UInt64)] {
      account.count(sample("a", sequence: sequence, merged: merged))
    }
    account.count(sample("b", sequence: 40))
    #expect(account.updates == 5)
    #expect(account.merged == 3)
    #expect(account.missing == 1)
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

  @Test func durationsGoToTheServerAsItReadsThem() {
    #expect(JSON.text(.milliseconds(1500)) == "1.500000000s")
    #expect(DurationText.parse("90s") == .seconds(90))
    #expect(DurationText.parse("1.5m") == .seconds(90))
    for wrong in ["", "s", "10", "-1s", "1d", "nan s", "infh"] {
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
            ["name": "seed", "unit": ""],
          ],
        ]))
    ]
    let experiment = Experiment(
      JSON([
        "experimentId": "x",
        "faults": [["kind": "K", "parameters": ["delay_ms": "100", "loss_percent": "5", "seed": "1"]]],
      ]))
    let none = Comparison.all(experiment, kinds: kinds, samples: [])
    #expect(none.map(\.name) == ["delay_ms", "loss_percent"])
    #expect(none.map(\.measured) == [nil, nil])
    let samples = [
      sample("a", counters: (matched: 100, delayed: 50, dropped: 10, given: 5_000_000_000)),
      sample("b", counters: (matched: 100, delayed: 50, dropped: 0, given: 5_500_000_000)),
    ]
    let some = Comparison.all(experiment, kinds: kinds, samples: samples)
    #expect(some.map(\.measured) == [105, 5])
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

  @Test func textsTakeWhatTheySpeakOf() {
    #expect(Words.haltedUnsure("3", "1").contains("3"))
    #expect(!Words.haltedUnsure("3", "1").contains("%@"))
  }
}
