import Files

/// The files of a tokenizer that go along with a model that is trained with it.
package struct TokenizerFiles: Sendable {
  /// Their names in a model's folder.
  let files: [(name: String, file: MappedFile)]

  /// Finds the files of a tokenizer.
  ///
  /// - Parameter path: A folder, of which all goes along that belongs to a model but its weights, or a file, which
  ///   gets the name under which it is looked for.
  /// - Throws: `CheckpointError` when one is unreadable.
  package init(path: String) throws(CheckpointError) {
    files = try checkpointFiles { () throws(FileError) in
      guard FileSystem.isFolder(path) else {
        let name = path.hasSuffix(".json") ? "tokenizer.json" : "tokenizer.model"
        return [(name, try MappedFile(path: path))]
      }
      var files: [(name: String, file: MappedFile)] = []
      for name in try FileSystem.names(in: path) where ModelFolder.goesAlong(name) {
        files.append((name, try MappedFile(path: "\(path)/\(name)")))
      }
      return files
    }
  }
}
