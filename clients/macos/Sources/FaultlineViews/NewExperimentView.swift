#if canImport(SwiftUI)
  import ChaosKit
  import SwiftUI

  /// The form of a new experiment. What the server finds wrong stands below its field.
  struct NewExperimentView: View {
    @Bindable var desk: Desk
    @Binding var selection: Selection?

    var body: some View {
      VStack(alignment: .leading, spacing: 12) {
        NewExperimentFields(form: desk.form)
        if let error = desk.form.error { ProblemView(error: error) }
        HStack {
          Spacer()
          Button(Words.cancel.text, role: .cancel) { desk.isFormShown = false }
            .keyboardShortcut(.cancelAction)
          Button(Words.start.text) { Task { await start() } }
            .keyboardShortcut(.defaultAction)
            .disabled(!desk.form.canSubmit)
        }
      }
      .padding(20)
      .frame(minWidth: 460)
      .task { if let client = desk.client { await desk.form.load(client) } }
    }

    private func start() async {
      guard await desk.submit() else { return }
      desk.isFormShown = false
      selection = .experiments
    }
  }

  struct NewExperimentFields: View {
    @Bindable var form: NewExperimentModel

    var body: some View {
      Form {
        VStack(alignment: .leading, spacing: 2) {
          TextField(Words.target.text, text: $form.target)
          FieldNote(help: Words.targetHelp.text, problem: form.targetProblem)
        }
        Picker(Words.kind.text, selection: $form.kindName) {
          ForEach(form.kinds) { kind in Text(kind.name).tag(kind.name) }
        }
        if let kind = form.kind { Text(kind.summary).font(.callout) }
        VStack(alignment: .leading, spacing: 2) {
          TextField(Words.duration.text, text: $form.duration)
          FieldNote(help: Words.durationHelp.text, problem: form.durationProblem)
        }
        ForEach(form.fields) { field in ParameterField(field: field) }
      }
    }
  }

  struct ParameterField: View {
    @Bindable var field: NewExperimentModel.Field

    var body: some View {
      VStack(alignment: .leading, spacing: 2) {
        switch field.parameter.form {
        case .choice:
          Picker(field.title, selection: $field.text) {
            ForEach(field.parameter.choices, id: \.self) { choice in Text(choice).tag(choice) }
          }
        case .flag:
          Toggle(field.title, isOn: $field.isOn)
        case .number, .integer, .integerList, .text, .textList:
          TextField(field.title, text: $field.text)
        }
        FieldNote(help: field.parameter.help, problem: field.problem)
      }
    }
  }

  /// Below a field: its help, or what is wrong with it.
  struct FieldNote: View {
    let help: String
    let problem: ChaosError.Violation?

    var body: some View {
      if let problem {
        Label(Words.allowed(problem.allowed), systemImage: "exclamationmark.circle")
          .font(.callout)
          .foregroundStyle(.red)
      } else {
        Text(help).font(.callout).foregroundStyle(.secondary)
      }
    }
  }
#endif
