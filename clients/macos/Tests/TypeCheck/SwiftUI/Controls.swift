// A stand-in for type-checking on Linux (README.md): declarations without behaviour.

public struct Text: Primitive {
  public init(_ content: some StringProtocol) {}
  public func monospacedDigit() -> Text { self }
}
public struct Label<Title: View, Icon: View>: Primitive {}
extension Label where Title == Text, Icon == EmptyView {
  public init(_ title: some StringProtocol, systemImage: String) {}
}
public struct Spacer: Primitive { public init() {} }
public struct Divider: Primitive { public init() {} }
public struct ForEach<Data, ID, Content> {
  init(made: Void) {}
}
extension ForEach: View where Content: View { public var body: Never { fatalError() } }
extension ForEach where Data: RandomAccessCollection, ID == Data.Element.ID, Content: View,
  Data.Element: Identifiable
{
  public init(_ data: Data, @ViewBuilder content: @escaping (Data.Element) -> Content) {
    self.init(made: ())
  }
}
extension ForEach where Data: RandomAccessCollection, ID: Hashable, Content: View {
  public init(
    _ data: Data, id: KeyPath<Data.Element, ID>,
    @ViewBuilder content: @escaping (Data.Element) -> Content
  ) { self.init(made: ()) }
}
extension ForEach {
  /// For Charts, whose contents are no views.
  public static func standIn() -> Self { Self(made: ()) }
}

public struct ButtonRole: Equatable, Sendable {
  public static let destructive = ButtonRole()
  public static let cancel = ButtonRole()
}
public struct Button<Label: View>: Primitive {}
extension Button where Label == Text {
  public init(
    _ title: some StringProtocol, role: ButtonRole? = nil, action: @escaping @MainActor () -> Void
  ) {}
}
extension Button where Label == SwiftUI.Label<Text, EmptyView> {
  public init(
    _ title: some StringProtocol, systemImage: String, role: ButtonRole? = nil,
    action: @escaping @MainActor () -> Void
  ) {}
}
public struct TextField: Primitive {
  public init(_ title: some StringProtocol, text: Binding<String>) {}
}
public struct Toggle: Primitive {
  public init(_ title: some StringProtocol, isOn: Binding<Bool>) {}
}
public struct Picker<Selected: Hashable, Content: View>: Primitive {
  public init(
    _ title: some StringProtocol, selection: Binding<Selected>, @ViewBuilder content: () -> Content
  ) {}
}
public struct ProgressView: Primitive { public init(_ title: some StringProtocol) {} }
public struct ContentUnavailableView: Primitive {
  public init(_ title: some StringProtocol, systemImage name: String) {}
}
public struct LabeledContent<Content: View>: Primitive {
  public init(_ title: some StringProtocol, @ViewBuilder content: () -> Content) {}
}
