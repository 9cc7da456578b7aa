#if canImport(SwiftUI)
  import ChaosKit
  import SwiftUI

  struct TargetsView: View {
    let desk: Desk
    @Binding var selection: Selection?

    var body: some View {
      List {
        if let error = desk.targets.error { ProblemView(error: error) }
        if let error = desk.test.refusal { ProblemView(error: error) }
        ForEach(desk.targets.value ?? []) { target in
          HStack {
            VStack(alignment: .leading, spacing: 2) {
              Text(target.id).font(.headline)
              Text(target.labelText).font(.callout).foregroundStyle(.secondary)
            }
            Spacer()
            Button(Words.latencyTest.text, systemImage: "timer") {
              Task { if await desk.latencyTest(target: target.selector) { selection = .experiments } }
            }
            .accessibilityLabel("\(Words.latencyTest.text): \(target.id)")
            .help(Words.latencyTestHelp.text)
            .accessibilityHint(Words.latencyTestHelp.text)
          }
        }
      }
      .overlay {
        if desk.targets.value?.isEmpty == true {
          ContentUnavailableView(Words.noTargets.text, systemImage: "scope")
        }
      }
    }
  }

  struct AgentsView: View {
    let agents: AgentsModel

    var body: some View {
      List {
        if let error = agents.error { ProblemView(error: error) }
        ForEach(agents.value ?? []) { agent in
          DisclosureGroup {
            ForEach(agent.capabilities) { capability in
              Label(
                capability.available ? capability.name : "\(capability.name): \(capability.reason)",
                systemImage: capability.available ? "checkmark" : "xmark")
            }
          } label: {
            HStack {
              VStack(alignment: .leading, spacing: 2) {
                Text(agent.id).font(.headline)
                Text("\(agent.hostname) · \(agent.kernel) · \(agent.version)")
                  .font(.callout).foregroundStyle(.secondary)
              }
              Spacer()
              Text(agent.connected ? Words.connected.text : Words.disconnected.text)
                .foregroundStyle(agent.connected ? Color.secondary : .red)
            }
            .accessibilityElement(children: .combine)
          }
        }
      }
      .overlay {
        if agents.value?.isEmpty == true {
          ContentUnavailableView(Words.noAgents.text, systemImage: "cpu")
        }
      }
    }
  }

  struct ClusterView: View {
    let cluster: ClusterModel

    var body: some View {
      List {
        if let error = cluster.error { ProblemView(error: error) }
        if let value = cluster.value {
          if !value.hasQuorum {
            Label(Words.noQuorum.text, systemImage: "exclamationmark.triangle")
              .foregroundStyle(.red)
          }
          ForEach(value.members) { member in
            HStack {
              VStack(alignment: .leading, spacing: 2) {
                Text("\(member.id)  \(member.address)").font(.headline).monospacedDigit()
                if member.lagEntries > 0 {
                  Text(Words.lag("\(member.lagEntries)")).font(.callout)
                }
              }
              Spacer()
              Text(member.words.text).foregroundStyle(member.reachable ? Color.secondary : .red)
            }
            .accessibilityElement(children: .combine)
          }
        }
      }
    }
  }
#endif
