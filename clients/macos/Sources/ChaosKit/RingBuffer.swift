/// The newest `capacity` elements, oldest first.
public struct RingBuffer<Element>: RandomAccessCollection {
  public let capacity: Int
  private var storage: [Element] = []
  private var start = 0

  public init(capacity: Int) {
    precondition(capacity > 0)
    self.capacity = capacity
    storage.reserveCapacity(capacity)
  }

  public var startIndex: Int { 0 }
  public var endIndex: Int { storage.count }
  public subscript(position: Int) -> Element {
    get { storage[place(of: position)] }
    set { storage[place(of: position)] = newValue }
  }

  private func place(of position: Int) -> Int {
    precondition(storage.indices.contains(position), "position \(position) of \(storage.count)")
    return (start + position) % storage.count
  }

  public mutating func append(_ element: Element) {
    if storage.count < capacity {
      storage.append(element)
    } else {
      storage[start] = element
      start = (start + 1) % capacity
    }
  }
}

extension RingBuffer: Sendable where Element: Sendable {}
