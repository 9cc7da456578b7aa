#if canImport(SwiftUI)
  import ChaosKit
  import SwiftUI

  /// Open experiments beside the live view of the one that is looked at.
  struct ExperimentsView: View {
    @Bindable var desk: Desk

    var body: some View {
      HSplitView {
        List(selection: $desk.lookedAt) {
          if let error = desk.experiments.error { ProblemView(error: error) }
          ForEach(desk.experiments.open) { experiment in
            ExperimentRow(experiment: experiment).tag(experiment.id)
          }
        }
        .frame(minWidth: 240, maxWidth: 360)
        .overlay {
          if desk.experiments.isLoaded && desk.experiments.open.isEmpty {
            ContentUnavailableView(Words.noExperiments.text, systemImage: "checkmark.seal")
          }
        }
        if let live = desk.live {
          LiveView(desk: desk, live: live).frame(minWidth: 420)
        } else {
          ContentUnavailableView(Words.chooseExperiment.text, systemImage: "waveform.path.ecg")
        }
      }
    }
  }

  struct ExperimentRow: View {
    let experiment: Experiment

    var body: some View {
      VStack(alignment: .leading, spacing: 2) {
        HStack {
          Text(experiment.id).font(.headline)
          Spacer()
          StatusView(status: experiment.status)
        }
        Text(experiment.faults.map(\.kind).joined(separator: ", "))
        Text(experiment.target).font(.callout).foregroundStyle(.secondary)
        if !experiment.reason.isEmpty { Text(experiment.reason).font(.callout) }
      }
      .accessibilityElement(children: .combine)
    }
  }

  /// Told by symbol and word, not by colour alone.
  struct StatusView: View {
    let status: Experiment.Status

    var body: some View {
      Label(status.words.text, systemImage: symbol)
        .font(.callout)
        .foregroundStyle(status == .failed ? Color.red : status == .running ? .orange : .secondary)
    }

    private var symbol: String {
      switch status {
      case .pending: "hourglass"
      case .running: "bolt.fill"
      case .completed: "checkmark"
      case .failed, .unknown: "xmark.octagon"
      }
    }
  }
#endif
