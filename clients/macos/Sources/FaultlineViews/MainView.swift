#if canImport(SwiftUI)
  import ChaosKit
  import SwiftUI

  /// The window: sidebar, what was chosen there, and the toolbar.
  struct MainView: View {
    static let windowID = "main"

    @Bindable var desk: Desk
    @Binding var selection: Selection?

    var body: some View {
      NavigationSplitView {
        List(selection: $selection) {
          ForEach(Selection.allCases) { item in
            Label(item.words.text, systemImage: item.symbol).tag(item)
          }
        }
        .frame(minWidth: 180)
        ConnectionView(connection: desk.connection).padding(10)
      } detail: {
        detail
      }
      .toolbar {
        ToolbarItem {
          Button(Words.newExperiment.text, systemImage: "plus") { desk.isFormShown = true }
            .disabled(desk.client == nil)
        }
        ToolbarItem { HaltButton(desk: desk, halt: desk.halt) }
      }
      .sheet(isPresented: $desk.isFormShown) { NewExperimentView(desk: desk, selection: $selection) }
    }

    @ViewBuilder private var detail: some View {
      switch selection ?? .experiments {
      case .experiments: ExperimentsView(desk: desk)
      case .targets: TargetsView(desk: desk, selection: $selection)
      case .agents: AgentsView(agents: desk.agents)
      case .cluster: ClusterView(cluster: desk.cluster)
      case .history: HistoryView(desk: desk)
      }
    }
  }

  struct ConnectionView: View {
    let connection: ConnectionModel

    var body: some View {
      VStack(alignment: .leading, spacing: 4) {
        Label(
          connection.state.text,
          systemImage: connection.isUp ? "checkmark.circle" : "exclamationmark.triangle"
        )
        .font(.callout)
        if let problem = connection.state.problem { ProblemView(error: problem) }
      }
      .accessibilityElement(children: .combine)
    }
  }

  /// An error's sentence, and what it says of single fields.
  struct ProblemView: View {
    let error: ChaosError

    var body: some View {
      VStack(alignment: .leading, spacing: 2) {
        Text(error.message)
        ForEach(error.violations, id: \.field) { violation in
          Text("\(violation.field): \(Words.allowed(violation.allowed))")
        }
      }
      .font(.callout)
      .foregroundStyle(.red)
      .textSelection(.enabled)
    }
  }

  /// Ends everything, after it was confirmed.
  struct HaltButton: View {
    let desk: Desk
    @Bindable var halt: HaltModel

    var body: some View {
      HStack {
        if let text = halt.state.text { Text(text).font(.callout) }
        Button(Words.halt.text, systemImage: "stop.circle.fill", role: .destructive) {
          halt.ask()
        }
        .tint(.red)
        .disabled(desk.client == nil || halt.state == .halting)
        .accessibilityHint(Words.haltExplained.text)
      }
      .confirmationDialog(
        Words.haltQuestion.text, isPresented: $halt.isConfirming, titleVisibility: .visible
      ) {
        Button(Words.halt.text, role: .destructive) { Task { await desk.confirmHalt() } }
        Button(Words.cancel.text, role: .cancel) { halt.cancel() }
      } message: {
        Text(Words.haltExplained.text)
      }
    }
  }
#endif
