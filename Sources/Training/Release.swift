/// The program as it is released.
public enum Release {
  /// Version, by semantic versioning.
  public static let version = "0.1.0"
}
