// A stand-in for type-checking on Linux (README.md): declarations without behaviour.

public struct HorizontalAlignment: Sendable { public static let leading = HorizontalAlignment() }
public struct VerticalAlignment: Sendable { public static let center = VerticalAlignment() }

public struct HStack<Content: View>: Primitive {
  public init(
    alignment: VerticalAlignment = .center, spacing: Double? = nil,
    @ViewBuilder content: () -> Content
  ) {}
}
public struct VStack<Content: View>: Primitive {
  public init(
    alignment: HorizontalAlignment = .leading, spacing: Double? = nil,
    @ViewBuilder content: () -> Content
  ) {}
}
public struct HSplitView<Content: View>: Primitive {
  public init(@ViewBuilder content: () -> Content) {}
}
public struct ScrollView<Content: View>: Primitive {
  public init(@ViewBuilder content: () -> Content) {}
}
public struct Form<Content: View>: Primitive {
  public init(@ViewBuilder content: () -> Content) {}
}
public struct GroupBox<Content: View>: Primitive {
  public init(_ title: some StringProtocol, @ViewBuilder content: () -> Content) {}
}
public struct DisclosureGroup<Label: View, Content: View>: Primitive {
  public init(@ViewBuilder content: @escaping () -> Content, @ViewBuilder label: () -> Label) {}
}
public struct List<Selected, Content: View>: Primitive {}
extension List where Selected: Hashable {
  public init(selection: Binding<Selected?>?, @ViewBuilder content: () -> Content) {}
}
extension List where Selected == Never {
  public init(@ViewBuilder content: () -> Content) {}
}
public struct NavigationSplitView<Sidebar: View, Detail: View>: Primitive {
  public init(@ViewBuilder sidebar: () -> Sidebar, @ViewBuilder detail: () -> Detail) {}
}

@MainActor @preconcurrency public protocol ToolbarContent {}
public struct ToolbarItem<Content: View>: ToolbarContent {
  public init(@ViewBuilder content: () -> Content) {}
}
@MainActor @resultBuilder public struct ToolbarContentBuilder {
  public static func buildBlock<each Content: ToolbarContent>(_: repeat each Content)
    -> MadeToolbar<(repeat each Content)>
  { MadeToolbar() }
}
public struct MadeToolbar<Content>: ToolbarContent {}
