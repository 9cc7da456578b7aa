import FaultlineViews

@main enum Main {
  static func main() { FaultlineApp.main() }
}
