#if canImport(SwiftUI)
  import ChaosKit
  import SwiftUI

  /// Experiments that have ended, and their reports.
  struct HistoryView: View {
    let desk: Desk
    @State private var selected: String?
    @State private var report = ReportModel()

    var body: some View {
      HSplitView {
        List(selection: $selected) {
          if let error = desk.experiments.error { ProblemView(error: error) }
          ForEach(desk.experiments.ended) { experiment in
            ExperimentRow(experiment: experiment).tag(experiment.id)
          }
        }
        .frame(minWidth: 240, maxWidth: 360)
        .overlay {
          if desk.experiments.isLoaded && desk.experiments.ended.isEmpty {
            ContentUnavailableView(Words.noHistory.text, systemImage: "clock")
          }
        }
        ReportView(model: report).frame(minWidth: 420)
      }
      .task(id: selected) {
        if let client = desk.client, let selected { await report.load(client, selected) }
      }
    }
  }

  struct ReportView: View {
    let model: ReportModel

    var body: some View {
      ScrollView {
        VStack(alignment: .leading, spacing: 16) {
          if let report = model.report {
            Text(report.experiment.id).font(.title2)
            GroupBox("\(Words.requested.text) / \(Words.measured.text)") {
              ForEach(report.results) { result in
                LabeledContent(result.name) {
                  Text("\(result.asked) / \(result.measuredText)").monospacedDigit()
                }
              }
            }
            GroupBox(Words.p99.text) {
              LabeledContent(Words.before.text) { Text(p99(report.before)) }
              LabeledContent(Words.during.text) { Text(p99(report.during)) }
              LabeledContent(Words.after.text) { Text(p99(report.after)) }
            }
          } else if let error = model.error {
            if error.reason == "NO_REPORT" {
              ProgressView(Words.reportPending.text)
            } else {
              ProblemView(error: error)
            }
          }
        }
        .padding(16)
      }
    }

    private func p99(_ phase: Report.Phase) -> String {
      phase.p99?.text ?? Words.notMeasured.text
    }
  }
#endif
