import Configuration

/// The run file's keys outside all sections: what a rank takes of its host.
package struct HostSection: ConfigurationSection {
  package static let name = ""
  package static let documentation = "Keys outside all sections."

  @Key("threads", .layout, "Threads of a rank; 0 = the host's cores ÷ its ranks.")
  package var threads = 0

  package init() {}
}
