// A stand-in for type-checking on Linux (README.md): declarations without behaviour.
import Foundation

public protocol ShapeStyle: Sendable {}
public struct Color: ShapeStyle, Hashable {
  public static let red = Color()
  public static let orange = Color()
  public static let green = Color()
  public static let secondary = Color()
}
extension ShapeStyle where Self == Color {
  public static var red: Color { Color() }
  public static var orange: Color { Color() }
  public static var green: Color { Color() }
}
public struct HierarchicalShapeStyle: ShapeStyle {}
extension ShapeStyle where Self == HierarchicalShapeStyle {
  public static var secondary: HierarchicalShapeStyle { HierarchicalShapeStyle() }
}
public struct Font: Sendable {
  public static let headline = Font()
  public static let callout = Font()
  public static let caption = Font()
  public static let title2 = Font()
}
public struct EventModifiers: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  public static let command = EventModifiers(rawValue: 1)
  public static let shift = EventModifiers(rawValue: 2)
}
public struct KeyEquivalent: ExpressibleByExtendedGraphemeClusterLiteral, Sendable {
  public init(extendedGraphemeClusterLiteral: Character) {}
}
public struct KeyboardShortcut: Sendable {
  public static let defaultAction = KeyboardShortcut()
  public static let cancelAction = KeyboardShortcut()
}
public enum Visibility: Sendable { case automatic, visible, hidden }
public struct AccessibilityChildBehavior: Sendable {
  public static let combine = AccessibilityChildBehavior()
}
public struct EnabledTextSelectability: Sendable {
  public static let enabled = EnabledTextSelectability()
}
/// UniformTypeIdentifiers' UTType.
public struct UTType: Sendable { public static let data = UTType() }

extension View {
  public func tag(_ tag: some Hashable) -> some View { made(Self.self) }
  public func font(_ font: Font?) -> some View { made(Self.self) }
  public func foregroundStyle(_ style: some ShapeStyle) -> some View { made(Self.self) }
  public func tint(_ tint: Color?) -> some View { made(Self.self) }
  public func padding(_ length: Double) -> some View { made(Self.self) }
  public func frame(minWidth: Double? = nil, maxWidth: Double? = nil, minHeight: Double? = nil)
    -> some View
  { made(Self.self) }
  public func monospacedDigit() -> some View { made(Self.self) }
  public func disabled(_ disabled: Bool) -> some View { made(Self.self) }
  public func help(_ text: some StringProtocol) -> some View { made(Self.self) }
  public func textSelection(_ selectability: EnabledTextSelectability) -> some View {
    made(Self.self)
  }
  public func keyboardShortcut(_ key: KeyEquivalent, modifiers: EventModifiers) -> some View {
    made(Self.self)
  }
  public func keyboardShortcut(_ shortcut: KeyboardShortcut) -> some View { made(Self.self) }
  public func overlay<Content: View>(@ViewBuilder content: () -> Content) -> some View {
    made(Self.self)
  }
  public func sheet<Content: View>(
    isPresented: Binding<Bool>, @ViewBuilder content: @escaping () -> Content
  ) -> some View { made(Self.self) }
  public func toolbar<Content: ToolbarContent>(@ToolbarContentBuilder content: () -> Content)
    -> some View
  { made(Self.self) }
  public func confirmationDialog<Actions: View, Message: View>(
    _ title: some StringProtocol, isPresented: Binding<Bool>, titleVisibility: Visibility,
    @ViewBuilder actions: () -> Actions, @ViewBuilder message: () -> Message
  ) -> some View { made(Self.self) }
  public func fileImporter(
    isPresented: Binding<Bool>, allowedContentTypes: [UTType],
    onCompletion: @escaping (Result<URL, any Error>) -> Void
  ) -> some View { made(Self.self) }
  public func task(@_inheritActorContext _ action: @escaping @Sendable () async -> Void)
    -> some View
  { made(Self.self) }
  public func task(
    id: some Equatable, @_inheritActorContext _ action: @escaping @Sendable () async -> Void
  ) -> some View { made(Self.self) }
  public func accessibilityLabel(_ label: some StringProtocol) -> some View { made(Self.self) }
  public func accessibilityValue(_ value: some StringProtocol) -> some View { made(Self.self) }
  public func accessibilityHint(_ hint: some StringProtocol) -> some View { made(Self.self) }
  public func accessibilityElement(children: AccessibilityChildBehavior) -> some View {
    made(Self.self)
  }
}
