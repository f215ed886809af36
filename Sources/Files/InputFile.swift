import Glibc

#if LASP_ZLIB
  import CZlib
#endif
#if LASP_ZSTANDARD
  import CZstandard
#endif

/// A file that is read once, from its start to its end, and unpacked on the way.
package final class InputFile {
  /// Where the file lies.
  package let path: String
  /// How it is packed.
  package let format: PackedFormat
  /// Bytes of the file that were taken in so far, for a progress bar.
  package private(set) var position = 0
  private let descriptor: Int32
  private let room: UnsafeMutableRawBufferPointer
  /// Which of the bytes in `room` are not used up.
  private var waiting = 0..<0
  private var unpacker: (any Unpacker)?

  /// Opens a file and looks at its first bytes.
  ///
  /// - Parameter start: Where to begin; of a packed file 0.
  /// - Throws: `InputError` when it is missing, no file, or packed in a way that this build cannot read.
  package init(path: String, from start: Int = 0) throws(InputError) {
    self.path = path
    descriptor = try InputFile.open(path)
    room = .allocate(byteCount: 1 << 18, alignment: 16)
    var first = [UInt8](repeating: 0, count: 4)
    let count = max(0, pread(descriptor, &first, 4, 0))
    format = PackedFormat(firstBytes: first.prefix(count))
    switch format {
    case .none: break
    case .gzip:
      #if LASP_ZLIB
        unpacker = GzipUnpacker()
      #else
        throw .notBuilt(path: path, format: .gzip)
      #endif
    case .zstandard:
      #if LASP_ZSTANDARD
        unpacker = ZstandardUnpacker()
      #else
        throw .notBuilt(path: path, format: .zstandard)
      #endif
    }
    if start > 0 {
      precondition(format == .none, "\(path) is packed: it has no place \(start)")
      position = start
      lseek(descriptor, off_t(start), SEEK_SET)
    }
  }

  deinit {
    room.deallocate()
    close(descriptor)
  }

  /// Reads up to as many bytes as there is room for; 0 at the file's end.
  ///
  /// - Throws: `InputError` when the disk fails, or when what is packed is damaged or cut short.
  package func read(into target: UnsafeMutableRawBufferPointer) throws(InputError) -> Int {
    guard let unpacker else { return try fill(target) }
    while true {
      if waiting.isEmpty { waiting = 0..<(try fill(room)) }
      let (isAtEnd, source) = (waiting.isEmpty, UnsafeRawBufferPointer(rebasing: room[waiting]))
      let result = unpacker.unpack(source, into: target)
      guard let (used, made) = result else { throw .damaged(path: path, format: format) }
      waiting = waiting.lowerBound + used..<waiting.upperBound
      if made > 0 { return made }
      guard isAtEnd else { continue }
      guard unpacker.isBetweenParts else { throw .cutShort(path: path, format: format) }
      return 0
    }
  }

  /// Reads bytes to a place in an array; 0 at the file's end.
  package func read(into bytes: inout [UInt8], from first: Int) throws(InputError) -> Int {
    var result = Result<Int, InputError>.success(0)
    bytes.withUnsafeMutableBytes { room in
      do throws(InputError) {
        result = .success(try read(into: UnsafeMutableRawBufferPointer(rebasing: room[first...])))
      } catch { result = .failure(error) }
    }
    return try result.get()
  }

  private func fill(_ target: UnsafeMutableRawBufferPointer) throws(InputError) -> Int {
    while true {
      let count = Glibc.read(descriptor, target.baseAddress, target.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw .file(FileError("read", path)) }
      position += count
      return count
    }
  }

  private static func open(_ path: String) throws(InputError) -> Int32 {
    do throws(FileError) {
      return try FileSystem.openToRead(path).descriptor
    } catch {
      throw .file(error)
    }
  }
}

/// What can be wrong with a file that is read once.
package enum InputError: Error, Equatable, CustomStringConvertible {
  /// The operating system refused an operation.
  case file(FileError)
  /// Packed by a library that the program was built without.
  case notBuilt(path: String, format: PackedFormat)
  /// Not what its first bytes promise.
  case damaged(path: String, format: PackedFormat)
  /// It ends within what is packed.
  case cutShort(path: String, format: PackedFormat)

  /// One sentence: what is wrong, where, and what to do.
  package var description: String {
    switch self {
    case .file(let error): error.description
    case .notBuilt(let path, let format):
      "\(path) is packed by \(format.rawValue), which this build cannot read; install "
        + "\(format == .gzip ? "zlib1g-dev" : "libzstd-dev") and build again, or unpack it"
    case .damaged(let path, let format):
      "\(path) is damaged: it begins as \(format.rawValue) does but cannot be unpacked; fetch it again"
    case .cutShort(let path, let format):
      "\(path) ends within its \(format.rawValue) data; fetch it again"
    }
  }
}

/// Unpacks a stream of bytes.
protocol Unpacker: AnyObject {
  /// Whether all that came was complete.
  var isBetweenParts: Bool { get }
  /// Unpacks what fits; nil where the bytes are damaged.
  func unpack(
    _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) -> (used: Int, made: Int)?
}

#if LASP_ZLIB
  private final class GzipUnpacker: Unpacker {
    private let stream: UnsafeMutablePointer<z_stream>
    private(set) var isBetweenParts = true
    private var isReady = false

    init() {
      stream = .allocate(capacity: 1)
      stream.initialize(to: z_stream())
    }

    deinit {
      if isReady { inflateEnd(stream) }
      stream.deallocate()
    }

    func unpack(
      _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> (used: Int, made: Int)? {
      // Nothing more may come, and yet something be left inside.
      guard !source.isEmpty || !isBetweenParts else { return (0, 0) }
      if !isReady {
        // 15 bits of window, and 16 more for a gzip header.
        let status = inflateInit2_(stream, 31, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else { return nil }
        isReady = true
      }
      stream.pointee.next_in = UnsafeMutablePointer(
        mutating: source.baseAddress?.assumingMemoryBound(to: UInt8.self))
      stream.pointee.avail_in = UInt32(source.count)
      stream.pointee.next_out = target.baseAddress!.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_out = UInt32(min(target.count, 1 << 30))
      let room = Int(stream.pointee.avail_out)
      isBetweenParts = false
      switch inflate(stream, Z_NO_FLUSH) {
      case Z_OK, Z_BUF_ERROR: break
      case Z_STREAM_END:
        isBetweenParts = true
        guard inflateReset(stream) == Z_OK else { return nil }
      default: return nil
      }
      return (source.count - Int(stream.pointee.avail_in), room - Int(stream.pointee.avail_out))
    }
  }
#endif

#if LASP_ZSTANDARD
  private final class ZstandardUnpacker: Unpacker {
    private let stream = ZSTD_createDStream()
    private(set) var isBetweenParts = true

    deinit { ZSTD_freeDStream(stream) }

    func unpack(
      _ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
    ) -> (used: Int, made: Int)? {
      var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: 0)
      var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
      let wasBetween = isBetweenParts
      let left = ZSTD_decompressStream(stream, &output, &input)
      guard ZSTD_isError(left) == 0 else { return nil }
      // Called for nothing between two frames, it asks for a frame's beginning.
      isBetweenParts = left == 0 || wasBetween && input.pos == 0 && output.pos == 0
      return (input.pos, output.pos)
    }
  }
#endif
