#if canImport(SwiftUI)
  import ChaosKit
  import SwiftUI

  public struct FaultlineApp: App {
    @State private var desk = Desk(announce: Notifications.post)
    @State private var selection: Selection? = .experiments

    public init() {}

    public var body: some Scene {
      WindowGroup("Faultline", id: MainView.windowID) {
        MainView(desk: desk, selection: $selection)
          .task {
            Notifications.askForPermission()
            if desk.client == nil { StoredSettings().apply(to: desk) }
          }
      }
      .commands { DeskCommands(desk: desk, selection: $selection) }

      MenuBarExtra {
        MenuBarView(desk: desk, selection: $selection)
      } label: {
        MenuBarLabel(experiments: desk.experiments)
      }

      Settings { SettingsView(desk: desk) }
    }
  }

  /// What stands in the sidebar.
  enum Selection: String, CaseIterable, Identifiable {
    case experiments, targets, agents, cluster, history
    var id: String { rawValue }

    var words: Words {
      switch self {
      case .experiments: .experiments
      case .targets: .targets
      case .agents: .agents
      case .cluster: .cluster
      case .history: .history
      }
    }

    var symbol: String {
      switch self {
      case .experiments: "bolt"
      case .targets: "scope"
      case .agents: "cpu"
      case .cluster: "circle.hexagongrid"
      case .history: "clock"
      }
    }
  }
#endif
