// A stand-in for type-checking on Linux (../README.md): declarations without behaviour.
import Foundation
import SwiftUI

@MainActor @preconcurrency public protocol ChartContent {
  associatedtype Body: ChartContent
  @ChartContentBuilder @MainActor @preconcurrency var body: Body { get }
}
extension Never: ChartContent {}
public protocol PrimitiveChartContent: ChartContent where Body == Never {}
extension PrimitiveChartContent { public var body: Never { fatalError() } }
public struct MadeChartContent<Content>: PrimitiveChartContent {}
extension Optional: ChartContent where Wrapped: ChartContent {
  public var body: Never { fatalError() }
}

@MainActor @resultBuilder public struct ChartContentBuilder {
  public static func buildBlock<Content: ChartContent>(_ content: Content) -> Content { content }
  public static func buildBlock<each Content: ChartContent>(_: repeat each Content)
    -> MadeChartContent<(repeat each Content)>
  { MadeChartContent() }
  public static func buildIf<Content: ChartContent>(_ content: Content?) -> Content? { content }
}

extension ForEach: ChartContent where Content: ChartContent {
  public var body: Never { fatalError() }
}
extension ForEach where Data: RandomAccessCollection, ID == Data.Element.ID, Content: ChartContent,
  Data.Element: Identifiable
{
  public init(_ data: Data, @ChartContentBuilder content: @escaping (Data.Element) -> Content) {
    self = .standIn()
  }
}

public protocol Plottable {}
extension Date: Plottable {}
extension Double: Plottable {}
extension Int64: Plottable {}
public struct PlottableValue<Value: Plottable> {
  public static func value(_ label: some StringProtocol, _ value: Value) -> PlottableValue<Value> {
    PlottableValue()
  }
}
public struct AnnotationPosition: Sendable { public static let top = AnnotationPosition() }

public struct LineMark: PrimitiveChartContent {
  public init<X, Y>(x: PlottableValue<X>, y: PlottableValue<Y>) {}
}
public struct AreaMark: PrimitiveChartContent {
  public init<X, Y>(x: PlottableValue<X>, y: PlottableValue<Y>) {}
}
public struct RuleMark: PrimitiveChartContent {
  public init<X>(x: PlottableValue<X>) {}
}
extension ChartContent {
  public func foregroundStyle(_ style: some ShapeStyle) -> some ChartContent {
    MadeChartContent<Self>()
  }
  public func annotation<Content: View>(
    position: AnnotationPosition, @ViewBuilder content: () -> Content
  ) -> some ChartContent { MadeChartContent<Self>() }
  public func accessibilityLabel(_ label: some StringProtocol) -> some ChartContent {
    MadeChartContent<Self>()
  }
}

public struct Chart<Content: ChartContent>: Primitive {
  public init(@ChartContentBuilder content: () -> Content) {}
}
extension View {
  public func chartYAxisLabel(_ label: some StringProtocol) -> some View { self }
}
