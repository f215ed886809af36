import Glibc
import Synchronization

/// What a process still says when a mistake in it, or in a library, ends it: one line with rank, host and phase.
///
/// Nothing is mended: the process ends with 128 + the signal's number, and the launcher ends all others. All that
/// the handler calls is safe in it.
package enum CrashHandler {
  /// Listens from now on to the signals of faults, in place of Swift's own backtraces and Open MPI's.
  ///
  /// Called again after a library may have put its own handlers. Where `SWIFT_BACKTRACE` is set, somebody looks for the
  /// mistake by Swift's, which stay.
  package static func install() {
    guard getenv("SWIFT_BACKTRACE") == nil else { return }
    useOwnStack()
    for number in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { CrashHandler.crash($0) }
      // Another fault within the handler ends the process by the system's own means.
      action.sa_flags = SA_ONSTACK | Int32(bitPattern: UInt32(SA_RESETHAND))
      sigaction(number, &action, nil)
    }
  }

  /// Gives the handler a stack of its own in this thread, since the thread's may be what is full.
  package static func useOwnStack() {
    var old = stack_t()
    guard sigaltstack(nil, &old) == 0, old.ss_sp == nil else { return }
    let bytes = 64 << 10
    let memory = mmap(
      nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { return }
    var stack = stack_t(ss_sp: memory, ss_flags: 0, ss_size: bytes)
    sigaltstack(&stack, nil)
  }

  /// The log in which a crash of this process is recorded, as an `end` event.
  ///
  /// - Parameter descriptor: The open file; −1 for none, or where the run's end stands there already.
  package static func record(in descriptor: Int32) {
    began.store(Int(Glibc.time(nil)), ordering: .relaxed)
    logDescriptor.store(descriptor, ordering: .relaxed)
  }

  /// How many steps are done, which that event tells.
  package static func record(steps: Int) { stepsDone.store(steps, ordering: .relaxed) }

  /// How many steps are done.
  package static var steps: Int { stepsDone.load(ordering: .relaxed) }

  /// Where a crash of this process is told, so that the rank with the log hears of it: an address of a socket.
  ///
  /// - Parameter prefix: What stands before the line there.
  package static func tell(_ address: UnsafeRawBufferPointer, prefix: String) {
    let text = UnsafeMutablePointer<UInt8>.allocate(capacity: prefix.utf8.count + 1)
    for (index, byte) in prefix.utf8.enumerated() { text[index] = byte }
    text[prefix.utf8.count] = 0
    listenerPrefix.store(UInt(bitPattern: text), ordering: .relaxed)
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: address.count, alignment: 16)
    copy.copyMemory(from: address)
    listenerLength.store(copy.count, ordering: .relaxed)
    listenerAddress.store(UInt(bitPattern: copy.baseAddress), ordering: .releasing)
  }

  private static func crash(_ number: Int32) {
    var line = CrashLine()
    if let name = LastWords.nameBytes, name.pointee != 0 {
      line.add(name)
      line.add(": ")
    }
    line.add(CrashLine.cause(number))
    if let phase = Phase.textBytes {
      line.add(" in ")
      line.add(phase)
      if Phase.number >= 0 {
        line.add(" ")
        line.add(Phase.number)
      }
    }
    var (memory, stack) = (rlimit(), rlimit())
    let isLimited =
      getrlimit(__rlimit_resource_t(9), &memory) == 0 && memory.rlim_cur != rlim_t.max  // RLIMIT_AS
    let isShort =
      getrlimit(__rlimit_resource_t(3), &stack) == 0 && stack.rlim_cur < 2 << 20  // RLIMIT_STACK
    line.add(
      isShort ? CrashLine.cureOfStack : isLimited ? CrashLine.cureOfLimit : CrashLine.cure)
    line.write(to: STDERR_FILENO)
    let descriptor = logDescriptor.load(ordering: .relaxed)
    if descriptor >= 0 {
      var record = CrashLine()
      record.addEndEvent(
        line, steps: stepsDone.load(ordering: .relaxed),
        seconds: Int(Glibc.time(nil)) - began.load(ordering: .relaxed))
      record.write(to: descriptor)
    } else {
      inform(&line)
    }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(4), &limit) == 0, limit.rlim_cur > 0 {  // RLIMIT_CORE
      // Somebody wants the memory's image.
      raise(number)
    }
    _exit(128 + number)
  }

  /// Tells the rank that has the log, and waits a second at most until it has heard.
  private static func inform(_ line: inout CrashLine) {
    guard
      let address = UnsafeRawPointer(
        bitPattern: listenerAddress.load(ordering: .acquiring))
    else { return }
    let family = address.load(as: sa_family_t.self)
    let descriptor = socket(Int32(family), Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return }
    var wait = timeval(tv_sec: 1, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
    let length = socklen_t(listenerLength.load(ordering: .relaxed))
    guard connect(descriptor, address.assumingMemoryBound(to: sockaddr.self), length) == 0 else {
      return
    }
    var message = CrashLine()
    if let prefix = UnsafePointer<UInt8>(bitPattern: listenerPrefix.load(ordering: .relaxed)) {
      message.add(prefix)
    }
    message.add(line)
    message.write(to: descriptor)
    var byte: UInt8 = 0
    _ = read(descriptor, &byte, 1)
  }
}

private let logDescriptor = Atomic<Int32>(-1)
private let stepsDone = Atomic<Int>(0)
private let began = Atomic<Int>(0)
private let listenerAddress = Atomic<UInt>(0)
private let listenerPrefix = Atomic<UInt>(0)
private let listenerLength = Atomic<Int>(0)
