/// Whether every batch of a stream came: as an update of its own, or merged and counted, or missed
/// and counted. Each experiment and target of one start of an agent is a series of its own.
struct StreamAccount: Sendable {
  private struct Series: Hashable {
    let experimentID: String
    let targetID: String
    let incarnation: UInt64
  }

  private(set) var updates: UInt64 = 0
  private(set) var merged: UInt64 = 0
  /// Batches that never came, as the stream says.
  private(set) var missed: UInt64 = 0
  /// Batches that the sequence shows and the stream does not speak of.
  private(set) var uncounted: UInt64 = 0
  private var newest: [Series: UInt64] = [:]

  mutating func count(_ sample: MetricSample) {
    updates += 1
    merged += sample.mergedBatches
    let series = Series(
      experimentID: sample.experimentID, targetID: sample.targetID, incarnation: sample.incarnation)
    guard let before = newest.updateValue(sample.sequence, forKey: series) else { return }
    missed += sample.missedBatches
    let accounted = before + 1 + sample.mergedBatches + sample.missedBatches
    if sample.sequence > accounted { uncounted += sample.sequence - accounted }
  }
}
