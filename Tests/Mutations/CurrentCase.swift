import Foundation
import Synchronization

/// The name of the mutant that a thread reads now, which is written to standard error where the process ends by it.
///
/// A signal that comes from outside, such as `timeout -s ABRT` sends, writes the names of all threads' mutants.
final class CurrentCase {
  private static let room = 256
  private let text: UnsafeMutablePointer<CChar>
  private let stack: UnsafeMutableRawPointer

  init() {
    _ = Self.handler
    let slot = Self.slots.withLock { free in free.popLast() }
    guard let slot else { preconditionFailure("more readers at once than there are names for") }
    text = Self.names + slot * Self.room
    // Of a stack that is used up nothing is left for a handler.
    let bytes = 1 << 16
    stack = .allocate(byteCount: bytes, alignment: 16)
    var alternate = stack_t(ss_sp: stack, ss_flags: 0, ss_size: bytes)
    sigaltstack(&alternate, nil)
    pthread_setspecific(Self.key, text)
  }

  /// Notes what is read from now on.
  func begin(_ name: String) {
    name.withCString { name in
      let count = min(strlen(name), Self.room - 2)
      memcpy(text, name, count)
      text[count] = CChar(UInt8(ascii: "\n"))
      text[count + 1] = 0
    }
  }

  /// Notes that the thread reads nothing any more.
  func end() {
    text[0] = 0
    pthread_setspecific(Self.key, nil)
    var alternate = stack_t(ss_sp: nil, ss_flags: Int32(SS_DISABLE), ss_size: 0)
    sigaltstack(&alternate, nil)
    stack.deallocate()
    Self.slots.withLock { $0.append((text - Self.names) / Self.room) }
  }

  private static let count = 64
  private static let slots = Mutex(Array(0..<count))
  // A handler reads it, which can take no lock.
  nonisolated(unsafe) private static let names: UnsafeMutablePointer<CChar> = {
    let names = UnsafeMutablePointer<CChar>.allocate(capacity: count * room)
    names.initialize(repeating: 0, count: count * room)
    return names
  }()
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key, nil)
    return key
  }()

  /// Installs the handler once.
  private static let handler: Void = {
    // Both are made before a handler needs them.
    _ = (names, key)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      if let own = pthread_getspecific(CurrentCase.key) {
        let name = own.assumingMemoryBound(to: CChar.self)
        _ = write(2, name, strlen(name))
        return
      }
      for slot in 0..<CurrentCase.count {
        let name = CurrentCase.names + slot * CurrentCase.room
        _ = write(2, name, strlen(name))
      }
    }
    action.sa_flags = SA_ONSTACK | Int32(bitPattern: UInt32(SA_RESETHAND))
    for signal in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] {
      sigaction(signal, &action, nil)
    }
  }()
}
