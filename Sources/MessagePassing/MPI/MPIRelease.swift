import COpenMPI

/// Which MPI this is; asked before it starts, too.
package enum MPIRelease {
  /// What the library says of itself, such as `Open MPI v4.1.4`.
  package static var library: String {
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_LIBRARY_VERSION_STRING))
    var length: Int32 = 0
    guard MPI_Get_library_version(&text, &length) == MPI_SUCCESS else { return "unknown" }
    let whole = String(
      decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return whole.split(separator: ",").first.map(String.init) ?? whole
  }

  /// The release that the program was built with, such as `4.1.4`.
  package static var built: String {
    let release = lasp_mpi_release
    return "\(release.0).\(release.1).\(release.2)"
  }
}
