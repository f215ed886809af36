import Foundation
import Kernels
import Reporting
import Tensors

/// The speeds of recurrences whose channels do not meet, which memory bounds: beside what memory gives in the same seconds.
enum ElementwiseBenchmark {
  private static let repetitions = 5

  /// Prints a row for each recurrence.
  ///
  /// - Parameter states: States of a channel of the selective scan.
  static func printSpeeds(tokens: Int, channels: Int, states: Int = 16) {
    let titles = ["ms forward", "ms back", "GB/s", "GB/s back", "memory", "ratio"]
    print(RecurrenceBenchmark.line(Format.left("\(channels) channels", 22), titles))
    print(elementwise(tokens: tokens, channels: channels))
    fflush(nil)
    print(scan(tokens: tokens, channels: channels, states: states))
    print("")
  }

  private static func elementwise(tokens: Int, channels: Int) -> String {
    let kernel = ElementwiseRecurrence(channels: channels)
    let count = tokens * channels
    let pool = BufferPool()
    let (x, g) = (numbers(count, -1...1, pool), numbers(count, -0.1...0, pool))
    let (h, dx, dg) = (
      Tensor([count], pool: pool), Tensor([count], pool: pool), Tensor([count], pool: pool)
    )
    for tensor in [h, dx, dg] { tensor.clear() }
    let state = Tensor([channels], pool: pool)
    let row = ElementwiseRecurrence.Row(g: g.pointer, tokens: tokens)
    var (forward, back, memory): ([Double], [Double], [Double]) = ([], [], [])
    for _ in 0..<repetitions {
      memory.append(MemoryBandwidth.measure())
      forward.append(
        seconds {
          kernel.forward(
            row, x: x.pointer, initial: nil, h: h.pointer, final: state.pointer,
            channels: 0..<channels)
        })
      back.append(
        seconds {
          kernel.backward(
            row, h: h.pointer, initial: nil, dh: x.pointer, final: nil, dx: dx.pointer,
            dg: dg.pointer, dInitial: state.pointer, channels: 0..<channels)
        })
    }
    // x, g and h; back g, dh, h, dx and dg.
    let bytes = Double(4 * count)
    let speed = 8 * bytes / (forward.median + back.median)
    return RecurrenceBenchmark.line(
      Format.left("  elementwise", 22),
      [
        String(format: "%.1f", forward.median * 1e3), String(format: "%.1f", back.median * 1e3),
        String(format: "%.1f", 3e-9 * bytes / forward.median),
        String(format: "%.1f", 5e-9 * bytes / back.median),
        String(format: "%.1f", memory.median * 1e-9),
        String(format: "%.2f", speed / memory.median),
      ])
  }

  private static func scan(tokens: Int, channels: Int, states: Int) -> String {
    let kernel = SelectiveScan(channels: channels, states: states)
    let pool = BufferPool()
    let plan = ChunkPlan(tokens: tokens, chunkLength: kernel.chunkLength)
    let count = tokens * channels
    let (u, dt) = (numbers(count, -1...1, pool), numbers(count, 0.001...0.1, pool))
    let (b, c) = (
      numbers(tokens * states, -1...1, pool), numbers(tokens * states, -1...1, pool)
    )
    let (logRates, skip) = (
      numbers(channels * states, 0...2.7, pool), numbers(channels, 1...1, pool)
    )
    func room(_ count: Int) -> Tensor {
      let tensor = Tensor([count], pool: pool)
      tensor.clear()
      return tensor
    }
    let (rates, dRates) = (room(kernel.innerCount), room(kernel.innerCount))
    kernel.rates(logRates.pointer, into: rates.pointer)
    let (y, kept, state) = (room(count), room(kernel.keptCount(plan)), room(channels * states))
    let (du, ddt, dSkip) = (room(count), room(count), room(channels))
    let (dBC, inner) = (room(kernel.groups * tokens * 2 * states), room(kernel.innerCount))
    let scratch = room(kernel.scratchCount)
    let row = SelectiveScan.Row(
      u: u.pointer, dt: dt.pointer, b: b.pointer, c: c.pointer, plan: plan)
    let gradients = SelectiveScan.Gradients(
      du: du.pointer, ddt: ddt.pointer, dBC: dBC.pointer, groupStride: tokens * 2 * states,
      dRates: dRates.pointer, dSkip: dSkip.pointer)
    var (forward, back): ([Double], [Double]) = ([], [])
    for _ in 0..<repetitions {
      forward.append(
        seconds {
          kernel.forward(
            row, rates: rates.pointer, skip: skip.pointer, initial: nil, kept: kept.pointer,
            y: y.pointer, final: state.pointer, groups: 0..<kernel.groups)
        })
      back.append(
        seconds {
          kernel.backward(
            row, rates: rates.pointer, skip: skip.pointer, kept: kept.pointer, dy: u.pointer,
            final: nil, into: gradients, dInitial: state.pointer, groups: 0..<kernel.groups,
            states: inner.pointer, scratch: scratch.pointer)
        })
    }
    let each = (forward.median + back.median) * 1e9 / Double(count)
    return RecurrenceBenchmark.line(
      Format.left("  scan, \(states) states", 22),
      [
        String(format: "%.1f", forward.median * 1e3), String(format: "%.1f", back.median * 1e3),
      ]) + String(format: "   %.1f ns a token and channel", each)
  }

  private static func numbers(
    _ count: Int, _ range: ClosedRange<Float>, _ pool: BufferPool
  ) -> Tensor {
    let tensor = Tensor([count], pool: pool)
    var seed: UInt32 = 1
    for i in 0..<count {
      seed = seed &* 1_664_525 &+ 1_013_904_223
      let unit = Float(seed >> 8) / 16_777_216
      tensor.pointer[i] = range.lowerBound + unit * (range.upperBound - range.lowerBound)
    }
    return tensor
  }

  private static func seconds(_ body: () -> Void) -> Double {
    let start = processorTime()
    body()
    return processorTime() - start
  }

  /// Seconds that this thread has computed.
  private static func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
