extension ScalarDecayChunk {
  /// `P ← Γ ⊙ P`, with zeros above the diagonal up to the register's end.
  func applyDecays() {
    let (tokens, p) = (buffers.tokens, buffers.p)
    if kernel.decay != .scalar {
      scaleLower(p) { i, j in Lanes.load(powers + (tokens &- 1 &- i &+ j)) }
    } else if isMild {
      scaleLower(p) { i, j in Lanes(repeating: rise[i]) * Lanes.load(outward + j) }
    } else {
      scaleLower(p) { i, j in decays(i, j, kernel.scale) }
    }
  }

  /// `P ← Γ ⊙ P` and `dP ← Γ ⊙ dP`, likewise; a decay from data also sums `Z = P ⊙ dO Vᵀ`.
  func applyDecaysBackward() {
    let (tokens, p, dP) = (buffers.tokens, buffers.p, buffers.dP)
    if kernel.decay != .scalar {
      scaleLower(p) { i, j in Lanes.load(powers + (tokens &- 1 &- i &+ j)) }
      scaleLower(dP) { i, j in Lanes.load(powers + (tokens &- 1 &- i &+ j)) }
    } else if isMild {
      scaleLowerSumming { i, j in Lanes(repeating: rise[i]) * Lanes.load(outward + j) }
    } else {
      scaleLowerSumming { i, j in decays(i, j, kernel.scale) }
    }
  }

  /// A register of Γ, from the difference itself: right for any decay.
  @inline(__always)
  private func decays(_ i: Int, _ j: Int, _ scale: Float) -> Lanes {
    let high = Lanes(repeating: b[i]) - Lanes.load(b + j)
    let low = Lanes(repeating: bLow[i]) - Lanes.load(bLow + j)
    return Lanes(repeating: scale) * Lanes.exp(high + low)
  }

  /// Multiplies the lower triangle, register by register.
  @inline(__always)
  private func scaleLower(
    _ x: UnsafeMutablePointer<Float>, _ factors: (Int, Int) -> Lanes
  ) {
    let (tokens, ldC) = (buffers.tokens, buffers.ldC)
    for i in 0..<tokens {
      let row = x + i &* ldC
      var j = 0
      while j <= i {
        let count = min(Lanes.width, i &+ 1 &- j)
        (Lanes.load(row + j, count: count) * factors(i, j)).first(count).store(row + j)
        j &+= Lanes.width
      }
    }
  }

  /// Rows from the last: what columns before a token have summed up by then is what crosses it.
  @inline(__always)
  private func scaleLowerSumming(_ factors: (Int, Int) -> Lanes) {
    let (tokens, ldC, p, dP) = (buffers.tokens, buffers.ldC, buffers.p, buffers.dP)
    zColumns.update(repeating: 0, count: ldC)
    var i = tokens &- 1
    while i >= 0 {
      let (pRow, dPRow) = (p + i &* ldC, dP + i &* ldC)
      var sum = Lanes()
      var j = 0
      while j <= i {
        let count = min(Lanes.width, i &+ 1 &- j)
        let gamma = factors(i, j).first(count)
        let scaled = Lanes.load(pRow + j, count: count) * gamma
        let gradient = Lanes.load(dPRow + j, count: count)
        let columns = Lanes.load(zColumns + j) + (scaled * gradient).first(min(count, i &- j))
        sum += columns.first(min(count, i &- j))
        columns.store(zColumns + j)
        scaled.store(pRow + j)
        (gradient * gamma).store(dPRow + j)
        j &+= Lanes.width
      }
      buffers.dg[i] = sum.sum()
      i &-= 1
    }
  }
}
