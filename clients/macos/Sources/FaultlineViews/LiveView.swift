#if canImport(SwiftUI)
  import ChaosKit
  import Charts
  import SwiftUI

  /// One experiment: charts, what was asked for beside what is measured, stop.
  struct LiveView: View {
    let desk: Desk
    let live: LiveExperimentModel

    var body: some View {
      ScrollView {
        VStack(alignment: .leading, spacing: 16) {
          header
          if let error = live.stopError { ProblemView(error: error) }
          if case .failed(let error) = live.stream { ProblemView(error: error) }
          if live.series.points.isEmpty {
            ProgressView(Words.waiting.text)
          } else {
            LatencyChart(points: Array(live.series.points), experiment: live.experiment)
            DropsChart(points: Array(live.series.points), experiment: live.experiment)
          }
          ComparisonView(comparisons: live.comparisons)
          if let reason = live.notMeasurable {
            Text(Words.notMeasurable(reason)).font(.callout)
          }
          if live.missed > 0 { Text(Words.missed("\(live.missed)")).font(.callout) }
        }
        .padding(16)
      }
    }

    private var header: some View {
      HStack {
        VStack(alignment: .leading, spacing: 2) {
          Text(live.experimentID).font(.title2)
          if let experiment = live.experiment {
            StatusView(status: experiment.status)
            Text(experiment.target).font(.callout).foregroundStyle(.secondary)
          }
        }
        Spacer()
        Button(
          live.isStopping ? Words.stopping.text : Words.stop.text, systemImage: "stop.fill"
        ) {
          Task { await desk.stopLive() }
        }
        .keyboardShortcut(".", modifiers: .command)
        .disabled(live.isStopping || live.experiment?.isOpen != true)
      }
    }
  }

  /// When the fault began and ended, as vertical lines.
  struct FaultMarks: ChartContent {
    let experiment: Experiment?

    var body: some ChartContent {
      if let begin = experiment?.createdAt {
        RuleMark(x: .value(Words.time.text, begin))
          .foregroundStyle(.orange)
          .annotation(position: .top) { Text(Words.faultBegins.text).font(.caption) }
          .accessibilityLabel(Words.faultBegins.text)
      }
      if let end = experiment?.endedAt {
        RuleMark(x: .value(Words.time.text, end))
          .foregroundStyle(.green)
          .annotation(position: .top) { Text(Words.faultEnds.text).font(.caption) }
          .accessibilityLabel(Words.faultEnds.text)
      }
    }
  }

  struct LatencyChart: View {
    let points: [LiveSeries.Point]
    let experiment: Experiment?

    var body: some View {
      VStack(alignment: .leading, spacing: 4) {
        Text(Words.p99.text).font(.headline)
        Chart {
          ForEach(points) { point in
            LineMark(
              x: .value(Words.time.text, point.time),
              y: .value(Words.p99Axis.text, point.p99Milliseconds))
          }
          FaultMarks(experiment: experiment)
        }
        .chartYAxisLabel(Words.p99Axis.text)
        .frame(minHeight: 180)
        .accessibilityLabel(Words.p99.text)
        .accessibilityValue(Words.p99Value((points.last?.p99Milliseconds ?? 0).shortText))
      }
    }
  }

  struct DropsChart: View {
    let points: [LiveSeries.Point]
    let experiment: Experiment?

    var body: some View {
      VStack(alignment: .leading, spacing: 4) {
        Text(Words.drops.text).font(.headline)
        Chart {
          ForEach(points) { point in
            AreaMark(
              x: .value(Words.time.text, point.time),
              y: .value(Words.drops.text, point.packetDrops))
          }
          FaultMarks(experiment: experiment)
        }
        .frame(minHeight: 120)
        .accessibilityLabel(Words.drops.text)
        .accessibilityValue(Words.dropsValue("\(points.last?.packetDrops ?? 0)"))
      }
    }
  }

  struct ComparisonView: View {
    let comparisons: [Comparison]

    var body: some View {
      if !comparisons.isEmpty {
        GroupBox("\(Words.requested.text) / \(Words.measured.text)") {
          ForEach(comparisons) { comparison in
            LabeledContent(comparison.name) {
              Text("\(comparison.requested) / \(measured(comparison))").monospacedDigit()
            }
          }
        }
      }
    }

    private func measured(_ comparison: Comparison) -> String {
      comparison.measured.map { "\($0.shortText) \(comparison.unit)" } ?? Words.notMeasured.text
    }
  }
#endif
