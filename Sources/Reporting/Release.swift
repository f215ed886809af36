/// The program as it is released.
package enum Release {
  /// Version, by semantic versioning.
  package static let version = "0.1.0"
}
