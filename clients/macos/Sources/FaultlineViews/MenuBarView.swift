#if canImport(SwiftUI)
  import ChaosKit
  import SwiftUI

  /// The menu-bar extra: what is faulty now, and how to end it.
  struct MenuBarView: View {
    let desk: Desk
    @Binding var selection: Selection?
    @Environment(\.openWindow) private var openWindow

    var body: some View {
      ForEach(desk.experiments.open) { experiment in
        Button("\(experiment.id)  \(experiment.target)") {
          desk.look(at: experiment.id)
          selection = .experiments
          showWindow()
        }
      }
      if desk.experiments.open.isEmpty { Text(Words.noExperiments.text) }
      Divider()
      Button(Words.halt.text) {
        desk.halt.ask()
        showWindow()
      }
      .disabled(desk.client == nil)
      Button(Words.openWindow.text) { showWindow() }
      #if canImport(AppKit)
        Button(Words.quit.text) { NSApplication.shared.terminate(nil) }
      #endif
    }

    private func showWindow() {
      openWindow(id: MainView.windowID)
      #if canImport(AppKit)
        NSApplication.shared.activate(ignoringOtherApps: true)
      #endif
    }
  }

  struct MenuBarLabel: View {
    let experiments: ExperimentListModel

    var body: some View {
      Label(
        Words.running("\(experiments.open.count)"),
        systemImage: experiments.open.isEmpty ? "bolt.slash" : "bolt.fill")
    }
  }

  /// Menus and their keys.
  struct DeskCommands: Commands {
    @Bindable var desk: Desk
    @Binding var selection: Selection?

    var body: some Commands {
      CommandGroup(replacing: .newItem) {
        Button(Words.newExperiment.text) { desk.isFormShown = true }
          .keyboardShortcut("n", modifiers: .command)
          .disabled(desk.client == nil)
      }
      CommandMenu(Words.experiments.text) {
        Button(Words.halt.text) { desk.halt.ask() }
          .keyboardShortcut("h", modifiers: [.command, .shift])
          .disabled(desk.client == nil)
        Divider()
        Button(Selection.experiments.words.text) { selection = .experiments }
          .keyboardShortcut("1", modifiers: .command)
        Button(Selection.targets.words.text) { selection = .targets }
          .keyboardShortcut("2", modifiers: .command)
        Button(Selection.agents.words.text) { selection = .agents }
          .keyboardShortcut("3", modifiers: .command)
        Button(Selection.cluster.words.text) { selection = .cluster }
          .keyboardShortcut("4", modifiers: .command)
        Button(Selection.history.words.text) { selection = .history }
          .keyboardShortcut("5", modifiers: .command)
      }
    }
  }
#endif
