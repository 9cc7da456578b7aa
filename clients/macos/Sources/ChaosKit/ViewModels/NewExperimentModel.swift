import Observation

/// The form for a new experiment, built from what the server says of its fault kinds. It checks
/// nothing itself: the server does, and its answer stands beside the field it is about.
@MainActor @Observable public final class NewExperimentModel {
  /// One parameter and what was typed.
  @MainActor @Observable public final class Field: Identifiable {
    public let parameter: Parameter
    public var text: String
    /// What is wrong with it, and what is allowed.
    public internal(set) var problem: ChaosError.Violation?
    public nonisolated var id: String { parameter.name }

    /// The name with its unit, and whether it must be given.
    public var title: String {
      parameter.name + (parameter.unit.isEmpty ? "" : " (\(parameter.unit))")
        + (parameter.required ? ", \(Words.required.text)" : "")
    }
    /// Of a flag.
    public var isOn: Bool {
      get { text == "true" }
      set { text = newValue ? "true" : "false" }
    }

    init(_ parameter: Parameter) {
      self.parameter = parameter
      text = parameter.defaultValue
    }
  }

  public private(set) var kinds: [FaultKind] = []
  public private(set) var fields: [Field] = []
  public var target = ""
  /// "10m", "90s", "1h"; empty: the server's default.
  public var duration = ""
  public private(set) var targetProblem: ChaosError.Violation?
  public private(set) var durationProblem: ChaosError.Violation?
  /// What belongs to no field.
  public private(set) var error: ChaosError?
  /// Why nothing was begun the last time, with what belongs to the fields.
  public private(set) var refusal: ChaosError?
  public private(set) var isSubmitting = false

  public var kindName = "" {
    didSet { if kindName != oldValue { makeFields() } }
  }
  public var kind: FaultKind? { kinds.first { $0.name == kindName } }
  public var canSubmit: Bool { !isSubmitting && kind != nil && !target.isEmpty }

  /// Kept for one content of the form: asking again after a lost answer begins nothing twice.
  private var request: NewExperiment?

  public init() {}

  public func load(_ client: ChaosClient) async {
    do {
      let before = kind
      kinds = try await client.faultKinds()
      error = nil
      refusal = nil
      if kind == nil { kindName = kinds.first?.name ?? "" }
      if kindName == before?.name && kind != before { makeFields() }
    } catch {
      self.error = error.shown
      refusal = error.shown
    }
  }

  /// The experiment that was begun; nil when the server refused it, and the form says why.
  public func submit(_ client: ChaosClient) async -> Experiment? {
    clearProblems()
    guard let new = makeRequest() else { return nil }
    isSubmitting = true
    defer { isSubmitting = false }
    do {
      let experiment = try await client.start(new)
      request = nil
      return experiment
    } catch {
      if let shown = error.shown { show(shown) }
      return nil
    }
  }

  /// The first kind that delays, with that delay: the one-button test of a target.
  public func latencyTest(
    _ client: ChaosClient, target: String, delay: String = "100ms",
    duration: Duration = .seconds(60)
  ) async -> Experiment? {
    if kinds.isEmpty { await load(client) }
    let delaying = kinds.lazy.compactMap { kind in
      kind.parameters.first { $0.measuredBy == Parameter.delayCounter }.map { (kind, $0) }
    }
    guard let (kind, parameter) = delaying.first else { return nil }
    kindName = kind.name
    self.target = target
    self.duration = DurationText.format(duration)
    fields.first { $0.id == parameter.name }?.text = delay
    return await submit(client)
  }

  private func makeFields() { fields = kind?.parameters.map(Field.init) ?? [] }

  private func clearProblems() {
    error = nil
    refusal = nil
    targetProblem = nil
    durationProblem = nil
    for field in fields { field.problem = nil }
  }

  private func makeRequest() -> NewExperiment? {
    var length: Duration?
    if !duration.isEmpty {
      length = DurationText.parse(duration)
      if length == nil {
        durationProblem = .init(field: "duration", value: duration, allowed: DurationText.allowed)
        return nil
      }
    }
    // What was left at its default is the server's to fill in.
    let given = fields.filter { $0.text != $0.parameter.defaultValue }
    var new = NewExperiment(
      target: target,
      faults: [
        Fault(
          kind: kindName,
          parameters: Dictionary(uniqueKeysWithValues: given.map { ($0.id, $0.text) }))
      ], duration: length)
    if let request, request.target == new.target, request.faults == new.faults,
      request.duration == new.duration
    {
      return request
    }
    new.requestID = freshRequestID()
    request = new
    return new
  }

  private func show(_ shown: ChaosError) {
    refusal = shown
    var unplaced = shown.violations.isEmpty
    for violation in shown.violations {
      let name = violation.field.split(separator: ".").last.map(String.init)
      if violation.field == "target" {
        targetProblem = violation
      } else if violation.field == "duration" {
        durationProblem = violation
      } else if let field = fields.first(where: { $0.id == name }) {
        field.problem = violation
      } else {
        unplaced = true
      }
    }
    if unplaced { error = shown }
  }
}

private func freshRequestID() -> String {
  [UInt64.random(in: 0...UInt64.max), .random(in: 0...UInt64.max)]
    .map { String($0, radix: 16) }.joined()
}
