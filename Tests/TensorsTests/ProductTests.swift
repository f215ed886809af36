import Tensors
import Testing

/// Products that this program and CPU have.
private let all: [ProductSettings] = [Precision.fp32, .bf16].flatMap { precision in
  ProductLibrary.allCases.compactMap { try? ProductSettings(precision, by: $0) }
}

@Suite("Products of activations and weights")
struct ProductTests {
  init() { BLAS.setThreads(1) }

  /// The nearest bf16 number by arithmetic: a significand of 8 bits.
  private static func nearest(_ number: Float) -> Double {
    guard number != 0, number.isFinite else { return Double(number) }
    let unit = Double(number.ulp) * 65536
    return (Double(number) / unit).rounded(.toNearestOrEven) * unit
  }

  private func matrix(_ rows: Int, _ columns: Int, seed: Int, pool: BufferPool) -> Tensor {
    Tensor(
      [rows, columns],
      (0..<rows * columns).map { Float(($0 * 7919 + seed * 104729) % 2003 - 1001) / 777 },
      pool: pool)
  }

  @Test(
    "They are those of their operands, rounded where they are bf16, with fp32 sums",
    arguments: all,
    [
      (5, 5, 4), (33, 65, 7), (64, 48, 200), (130, 70, 333), (1, 64, 1), (3, 1, 2), (3, 5, 4500),
      (1700, 3, 3), (3, 2100, 3),
    ])
  func products(settings: ProductSettings, size: (rows: Int, columns: Int, count: Int)) throws {
    let (rows, columns, count) = size
    for threads in [1, 3] {
      let workspace = Workspace(threads: threads, products: settings)
      let (pool, products) = (workspace.pool, workspace.products)
      let x = matrix(count, columns, seed: 1, pool: pool)
      let w = matrix(rows, columns, seed: 2, pool: pool)
      let dy = matrix(count, rows, seed: 3, pool: pool)
      let (y, dx) = (
        matrix(count, rows, seed: 4, pool: pool), matrix(count, columns, seed: 5, pool: pool)
      )
      let dW = matrix(rows, columns, seed: 6, pool: pool)
      // The result as a pointwise function would read it.
      let short = workspace.room(for: y.shape, readers: .products)
      func read(_ tensor: Tensor) -> [Double] {
        tensor.numbers.map { settings.precision == .bf16 ? Self.nearest($0) : Double($0) }
      }
      let (xs, ws, dys) = (read(x), read(w), read(dy))
      let (y0, dW0) = (y.numbers.map(Double.init), dW.numbers.map(Double.init))
      func weight(_ direction: ProductDirection) -> WeightMatrix {
        WeightMatrix(
          w.pointer,
          form: products.form(
            of: w.pointer, rows: rows, columns: columns, for: direction, in: workspace),
          for: direction, rows: rows, columns: columns)
      }
      let (input, gradient) = (workspace.operand(of: x), workspace.operand(of: dy))
      products.output(input, weight(.output), into: Operand(y), count: count, beta: 1)
      products.inputGradient(
        gradient, weight(.inputGradient), into: dx.pointer, count: count, beta: 0)
      products.addWeightGradient(
        gradient, input, to: dW.pointer, rows: rows, columns: columns, count: count)
      products.output(input, weight(.output), into: short, count: count, beta: 0)
      let widened = workspace.tensor(of: short, y.shape)
      for i in 0..<y.count {
        let (row, out) = (i / rows * columns, i % rows * columns)
        let right = (0..<columns).reduce(0.0) { $0 + xs[row + $1] * ws[out + $1] }
        let unit = settings.precision == .bf16 ? abs(right) / 256 : 0
        #expect(
          abs(Double(widened.pointer[i]) - right) < 2e-6 * Double(columns + 2) + unit,
          "\(settings), \(threads) threads, \(i)")
      }
      func expect(_ actual: Tensor, terms: Int, _ expected: (Int) -> Double) {
        for i in 0..<actual.count {
          let error = abs(Double(actual.pointer[i]) - expected(i))
          #expect(error < 2e-6 * Double(terms + 2), "\(settings), \(threads) threads, \(i)")
        }
      }
      expect(y, terms: columns) { i in
        let (row, out) = (i / rows * columns, i % rows * columns)
        return y0[i] + (0..<columns).reduce(0) { $0 + xs[row + $1] * ws[out + $1] }
      }
      expect(dx, terms: rows) { i in
        let (row, column) = (i / columns * rows, i % columns)
        return (0..<rows).reduce(0) { $0 + dys[row + $1] * ws[$1 * columns + column] }
      }
      expect(dW, terms: count) { i in
        let (out, column) = (i / columns, i % columns)
        return dW0[i]
          + (0..<count).reduce(0) { $0 + dys[$1 * rows + out] * xs[$1 * columns + column] }
      }
    }
  }

  @Test(
    "oneDNN sums weights' gradients in fp32 by either of its products", arguments: [false, true],
    [(5, 5, 4), (33, 65, 7), (130, 70, 333), (1, 64, 1), (3, 5, 4500), (4100, 3, 3), (3, 4100, 3)])
  func anyShape(addsAnyShape: Bool, size: (rows: Int, columns: Int, count: Int)) throws {
    let (rows, columns, count) = size
    for threads in [1, 3] {
      let (team, pool) = (ThreadTeam(size: threads), BufferPool())
      guard
        let products = OneDNN.products(
          of: .float, team: team, pool: pool, addsAnyShape: addsAnyShape)
      else { return }
      let dy = matrix(count, rows, seed: 3, pool: pool)
      let x = matrix(count, columns, seed: 1, pool: pool)
      let dW = matrix(rows, columns, seed: 6, pool: pool)
      let (before, left, right) = (dW.numbers, dy.numbers, x.numbers)
      products.addWeightGradient(
        Operand(dy), Operand(x), to: dW.pointer, rows: rows, columns: columns, count: count)
      for i in 0..<dW.count {
        let (out, column) = (i / columns, i % columns)
        let sum = (0..<count).reduce(Double(before[i])) {
          $0 + Double(left[$1 * rows + out]) * Double(right[$1 * columns + column])
        }
        #expect(abs(Double(dW.pointer[i]) - sum) < 2e-6 * Double(count + 2), "\(threads), \(i)")
      }
    }
  }

  @Test("A part of the rows is multiplied as all of them are", arguments: all)
  func parts(settings: ProductSettings) throws {
    let workspace = Workspace(products: settings)
    let (pool, products) = (workspace.pool, workspace.products)
    let (rows, columns, count) = (24, 40, 70)
    let (x, w) = (
      matrix(count, columns, seed: 1, pool: pool), matrix(rows, columns, seed: 2, pool: pool)
    )
    let weight = WeightMatrix(
      w.pointer,
      form: products.form(
        of: w.pointer, rows: rows, columns: columns, for: .output, in: workspace),
      for: .output, rows: rows, columns: columns)
    let (whole, parts) = (Tensor([count, rows], pool: pool), Tensor([count, rows], pool: pool))
    let input = workspace.operand(of: x)
    products.output(input, weight, into: Operand(whole), count: count, beta: 0)
    for part in [0..<33, 33..<34, 34..<70] {
      products.output(
        input.from(part.lowerBound * columns), weight,
        into: Operand(parts).from(part.lowerBound * rows),
        count: part.count, beta: 0)
    }
    for i in 0..<whole.count { #expect(abs(whole.pointer[i] - parts.pointer[i]) < 1e-4) }
  }

  @Test("The same product again asks for no memory", arguments: all)
  func steady(settings: ProductSettings) throws {
    let workspace = Workspace(threads: 2, products: settings)
    let (pool, products) = (workspace.pool, workspace.products)
    let (x, w) = (matrix(200, 48, seed: 1, pool: pool), matrix(64, 48, seed: 2, pool: pool))
    let y = Tensor([200, 64], pool: pool)
    var allocations = 0
    for step in 0..<3 {
      let form = products.form(of: w.pointer, rows: 64, columns: 48, for: .output, in: workspace)
      products.output(
        workspace.operand(of: x),
        WeightMatrix(w.pointer, form: form, for: .output, rows: 64, columns: 48), into: Operand(y),
        count: 200, beta: 0)
      if step == 0 { allocations = pool.statistics.allocations }
    }
    #expect(pool.statistics.allocations == allocations)
  }

  @Test("A rehearsal takes the memory of forms and operands, and touches none", arguments: all)
  func rehearsal(settings: ProductSettings) throws {
    func held(_ workspace: Workspace) -> Int {
      let (pool, products) = (workspace.pool, workspace.products)
      let (x, w) = (Tensor([333, 70], pool: pool), Tensor([130, 70], pool: pool))
      workspace.run {
        x.clear()
        w.clear()
      }
      let forms = ProductDirection.allCases.map {
        products.form(of: w.pointer, rows: 130, columns: 70, for: $0, in: workspace)
      }
      let operand = workspace.operand(of: x)
      return withExtendedLifetime((forms, operand)) { pool.statistics.inUse }
    }
    #expect(
      held(Workspace(executor: .rehearsing, products: settings))
        == held(Workspace(products: settings)))
  }

  @Test("bf16 is widened where nothing multiplies it, by OpenBLAS, which is said")
  func widened() throws {
    let widened = try ProductSettings(.bf16, by: .openblas)
    #expect(widened.widens && widened.warning?.contains("slower") == true)
    #expect("\(widened)" == "bf16 by OpenBLAS, widened to fp32")
    #expect(ProductSettings.plain.warning == nil)
    guard OneDNN.version != nil, OneDNN.staysOnThread else { return }
    let direct = try ProductSettings(.bf16)
    if OneDNN.hasBFloat16 {
      #expect(direct.library == .onednn && !direct.widens && direct.warning == nil)
    } else {
      #expect(direct == widened)
    }
  }

  @Test(
    "fp32 is by the library that was faster on this kind of CPU, OpenBLAS on one that was not measured"
  )
  func known() throws {
    let amd: UInt32 = 0x6874_7541
    let intel: UInt32 = 0x756E_6547
    let families = [
      CPUFamily.of(vendor: amd, family: 0x19, model: 0x11),
      .of(vendor: amd, family: 0x19, model: 0x61), .of(vendor: intel, family: 6, model: 0xCF),
      .of(vendor: amd, family: 0x19, model: 0x01), .of(vendor: intel, family: 6, model: 0x6A),
      .of(vendor: amd, family: 6, model: 0xCF),
    ]
    #expect(families == [.zen4, .zen4, .emeraldRapids, .other, .other, .other])
    let libraries = families.map { ProductLibrary.known(ofFamily: $0) }
    #expect(libraries == [.onednn, .onednn, .onednn, .openblas, .openblas, .openblas])
    let here = ProductLibrary.known(ofFamily: .current)
    #expect(try ProductSettings(.fp32).library == (OneDNN.version == nil ? .openblas : here))
  }

  @Test(
    "oneDNN, where it is, computes one product of each kind as asked before it is chosen",
    .enabled(if: OneDNN.version != nil && OneDNN.staysOnThread))
  func probed() {
    #expect(throws: Never.self) { try ProductSettings(.fp32, by: .onednn) }
    #expect(throws: Never.self) { try ProductSettings(.bf16, by: .onednn) }
  }

  @Test(
    "Without oneDNN, a sentence names the package and the key", .enabled(if: OneDNN.version == nil))
  func without() {
    let error = #expect(throws: ProductError.self) { try ProductSettings(.bf16) }
    #expect(error?.description.contains("libdnnl-dev") == true)
    #expect(error?.description.contains("precision=fp32") == true)
    #expect(throws: ProductError.self) { try ProductSettings(.fp32, by: .onednn) }
    #expect(throws: Never.self) { try ProductSettings(.fp32) }
  }
}

@Suite("Numbers in bf16")
struct BFloat16Tests {
  @Test("The nearest is taken, the even one of two that are as near")
  func rounding() {
    let pairs: [(Float, UInt16)] = [
      (0, 0), (-0.0, 0x8000), (1, 0x3F80), (Float(bitPattern: 0x3F80_8000), 0x3F80),
      (Float(bitPattern: 0x3F81_8000), 0x3F82), (Float(bitPattern: 0x3F80_8001), 0x3F81),
      (Float(bitPattern: 0xBF80_7FFF), 0xBF80), (.infinity, 0x7F80), (-.infinity, 0xFF80),
      (.greatestFiniteMagnitude, 0x7F80), (Float(bitPattern: 0x0000_8001), 0x0001),
    ]
    var rounded = [UInt16](repeating: 0, count: pairs.count)
    BFloat16.round(pairs.map(\.0), into: &rounded, count: pairs.count)
    #expect(rounded == pairs.map(\.1))
    var widened = [Float](repeating: 0, count: pairs.count)
    BFloat16.widen(rounded, into: &widened, count: pairs.count)
    var kept = widened
    BFloat16.round(pairs.map(\.0), keepingWidth: &kept, count: pairs.count)
    #expect(kept == widened)
  }

  @Test(
    "What is not a number stays none",
    arguments: [0x7F80_0001, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt32])
  func notANumber(bits: UInt32) {
    var rounded: [UInt16] = [0]
    BFloat16.round([Float(bitPattern: bits)], into: &rounded, count: 1)
    #expect(Float(bitPattern: UInt32(rounded[0]) << 16).isNaN)
  }
}
