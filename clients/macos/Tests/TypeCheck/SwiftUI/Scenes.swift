// A stand-in for type-checking on Linux (README.md): declarations without behaviour.

@MainActor @preconcurrency public protocol Scene {
  associatedtype Body: Scene
  @SceneBuilder @MainActor @preconcurrency var body: Body { get }
}
extension Never: Scene {}
public protocol PrimitiveScene: Scene where Body == Never {}
extension PrimitiveScene { public var body: Never { fatalError() } }
public struct MadeScene<Content>: PrimitiveScene {}

@MainActor @resultBuilder public struct SceneBuilder {
  public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: Scene>(_: repeat each Content) -> MadeScene<
    (repeat each Content)
  > { MadeScene() }
}

@MainActor @preconcurrency public protocol App {
  associatedtype Body: Scene
  @SceneBuilder @MainActor @preconcurrency var body: Body { get }
  @MainActor @preconcurrency init()
}
extension App { @MainActor @preconcurrency public static func main() { fatalError() } }

public struct WindowGroup<Content: View>: PrimitiveScene {
  public init(_ title: some StringProtocol, id: String, @ViewBuilder content: () -> Content) {}
}
public struct Settings<Content: View>: PrimitiveScene {
  public init(@ViewBuilder content: () -> Content) {}
}
public struct MenuBarExtra<Label: View, Content: View>: PrimitiveScene {
  public init(@ViewBuilder content: () -> Content, @ViewBuilder label: () -> Label) {}
}

@MainActor @preconcurrency public protocol Commands {
  associatedtype Body: Commands
  @CommandsBuilder @MainActor @preconcurrency var body: Body { get }
}
extension Never: Commands {}
public protocol PrimitiveCommands: Commands where Body == Never {}
extension PrimitiveCommands { public var body: Never { fatalError() } }
public struct MadeCommands<Content>: PrimitiveCommands {}

@MainActor @resultBuilder public struct CommandsBuilder {
  public static func buildBlock<Content: Commands>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: Commands>(_: repeat each Content) -> MadeCommands<
    (repeat each Content)
  > { MadeCommands() }
}
public struct CommandMenu<Content: View>: PrimitiveCommands {
  public init(_ name: some StringProtocol, @ViewBuilder content: () -> Content) {}
}
public struct CommandGroupPlacement: Sendable {
  public static let newItem = CommandGroupPlacement()
}
public struct CommandGroup<Content: View>: PrimitiveCommands {
  public init(replacing: CommandGroupPlacement, @ViewBuilder addition: () -> Content) {}
}
extension Scene {
  public func commands<Content: Commands>(@CommandsBuilder content: () -> Content) -> some Scene {
    MadeScene<Content>()
  }
}
