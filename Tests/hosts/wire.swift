// A network cable between two hosts that are namespaces: two Ethernet devices, and what goes into one
// comes out of the other, late, or not at all. It needs no module of the kernel's but `tun`.
//
//   wire DEVICE DEVICE DELAY LOSS        milliseconds in each direction; percent of all frames

import Glibc

/// Frames on their way in one direction.
struct Direction {
  let from: Int32
  let to: Int32
  var frames: [(due: UInt64, bytes: [UInt8])] = []
}

func fail(_ message: String) -> Never {
  fputs("wire: \(message): \(String(cString: strerror(errno)))\n", stderr)
  exit(1)
}

var now: UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Makes an Ethernet device whose frames this program reads and writes.
func makeDevice(_ name: String) -> Int32 {
  let descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK)
  if descriptor < 0 { fail("/dev/net/tun cannot be opened") }
  var request = [UInt8](repeating: 0, count: 40)  // struct ifreq: 16 bytes of name, then flags
  for (index, byte) in name.utf8.prefix(15).enumerated() { request[index] = byte }
  let flags: UInt16 = 0x1002  // IFF_TAP | IFF_NO_PI
  request[16] = UInt8(flags & 0xff)
  request[17] = UInt8(flags >> 8)
  let setInterface: UInt = 0x4004_54ca  // TUNSETIFF
  let code = request.withUnsafeMutableBytes { ioctl(descriptor, setInterface, $0.baseAddress!) }
  if code != 0 { fail("the device \(name) cannot be made") }
  return descriptor
}

let arguments = CommandLine.arguments
guard arguments.count == 5, let milliseconds = Double(arguments[3]), let loss = Double(arguments[4])
else {
  fputs("usage: wire DEVICE DEVICE DELAY LOSS\n", stderr)
  exit(2)
}
let delay = UInt64(milliseconds * 1e6)
let devices = arguments[1...2].map(makeDevice)
var directions = [
  Direction(from: devices[0], to: devices[1]), Direction(from: devices[1], to: devices[0]),
]
var chance: UInt64 = 1
var buffer = [UInt8](repeating: 0, count: 1 << 16)

/// Whether the next frame is lost: the same ones in every run.
func isLost() -> Bool {
  chance = chance &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
  return Double(chance >> 33) < loss / 100 * Double(1 << 31)
}

while true {
  let due = directions.compactMap { $0.frames.first?.due }.min()
  let start = now
  let wait = due.map { ($0 - min(start, $0)) / 1000 } ?? 1_000_000
  var timeout = timeval(tv_sec: Int(wait / 1_000_000), tv_usec: Int(wait % 1_000_000))
  var ready = fd_set()
  withUnsafeMutableBytes(of: &ready) { bits in
    for device in devices { bits[Int(device) / 8] |= 1 << UInt8(device % 8) }
  }
  _ = select(devices.max()! + 1, &ready, nil, nil, &timeout)
  for index in directions.indices {
    while true {
      let count = read(directions[index].from, &buffer, buffer.count)
      guard count > 0 else { break }
      if isLost() { continue }
      directions[index].frames.append((now + delay, Array(buffer[..<count])))
    }
    let end = now
    let sent = directions[index].frames.prefix { $0.due <= end }
    for frame in sent { _ = write(directions[index].to, frame.bytes, frame.bytes.count) }
    directions[index].frames.removeFirst(sent.count)
  }
}
