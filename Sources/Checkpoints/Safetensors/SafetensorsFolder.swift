import Files

/// The tensors of a model folder: `model.safetensors`, or the shards that an index file names.
package final class SafetensorsFolder: Sendable {
  /// The folder.
  package let path: String
  /// Every tensor of every file, file by file.
  package let tensors: [StoredTensor]

  private let files: [SafetensorsFile]
  private let places: [String: Int]

  /// Name of the file that holds everything.
  static let singleName = "model.safetensors"
  /// Name of the file that says which shard holds which tensor.
  static let indexName = "model.safetensors.index.json"

  /// Opens a folder's files and checks their headers; reads no data.
  ///
  /// - Throws: `CheckpointError` when there is no such file, when one is damaged or missing, or when
  ///   a tensor lies in two files or not in the one that the index names.
  package init(path: String) throws(CheckpointError) {
    self.path = path
    let single = "\(path)/\(SafetensorsFolder.singleName)"
    let index = "\(path)/\(SafetensorsFolder.indexName)"
    var expected: [String: String] = [:]
    var names = [SafetensorsFolder.singleName]
    if !FileSystem.exists(single) {
      guard FileSystem.exists(index) else {
        if let pickle = Pickles.path(at: path) { throw .pickle(path: pickle) }
        throw .notAModelFolder(
          path: path,
          missing: "\(SafetensorsFolder.singleName) and no \(SafetensorsFolder.indexName)")
      }
      expected = try SafetensorsIndex(path: index).weightMap
      names = Set(expected.values).sorted()
      for name in names { try Self.check(name, in: path, index: index) }
    }
    var files: [SafetensorsFile] = []
    var places: [String: Int] = [:]
    for name in names {
      let file = try SafetensorsFile(path: "\(path)/\(name)")
      for tensor in file.tensors {
        if let other = places.updateValue(files.count, forKey: tensor.name) {
          throw .damaged(
            path: path,
            reason: "tensor \(tensor.name) lies in \(names[other]) and in \(name)")
        }
      }
      files.append(file)
    }
    for (tensor, name) in expected.sorted(by: { $0.key < $1.key })
    where places[tensor].map({ names[$0] }) != name {
      throw .damaged(
        path: path, reason: "\(name) lacks tensor \(tensor), which the index puts there")
    }
    self.files = files
    self.places = places
    tensors = files.flatMap(\.tensors)
  }

  /// Refuses a name of a shard that is not that of a file of safetensors in the index's own folder.
  private static func check(
    _ name: String, in path: String, index: String
  ) throws(CheckpointError) {
    if name.contains("/") || name.contains("\0") {
      throw .damaged(path: index, reason: "it names the file \(name), which is not in its folder")
    }
    if Pickles.isNamed(name) { throw .pickle(path: "\(path)/\(name)") }
    guard name.hasSuffix(".safetensors") else {
      throw .damaged(path: index, reason: "it names the file \(name), which is no safetensors file")
    }
    guard FileSystem.exists("\(path)/\(name)") else {
      throw .damaged(path: index, reason: "it names the file \(name), which is not there")
    }
  }

  /// The tensor of that name, or nil.
  package func tensor(_ name: String) -> StoredTensor? {
    places[name].flatMap { files[$0].tensor(name) }
  }

  /// Reads a part of a floating-point tensor as fp32.
  package func readFloats(
    _ name: String, elements: Range<Int>? = nil, into destination: UnsafeMutablePointer<Float>
  ) throws(CheckpointError) {
    try file(of: name).readFloats(name, elements: elements, into: destination)
  }

  /// The file that holds a tensor of that name, or nil.
  func file(with name: String) -> SafetensorsFile? { places[name].map { files[$0] } }

  private func file(of name: String) throws(CheckpointError) -> SafetensorsFile {
    guard let place = places[name] else { throw .missingTensor(path: path, name: name) }
    return files[place]
  }
}
