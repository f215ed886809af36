import Testing

@testable import Reporting

@Suite("Numbers as a person reads them")
struct FormatTests {
  @Test(
    "Counts have three digits and a unit",
    arguments: [
      (0, "0"), (7, "7"), (999, "999"), (1000, "1.00k"), (8192, "8.19k"), (99_960, "100k"),
      (999_499, "999k"), (999_500, "1.00M"), (1_234_567, "1.23M"), (12_345_678, "12.3M"),
      (2_000_000_000_000, "2.00T"),
    ])
  func count(value: Int, text: String) {
    #expect(Format.count(value) == text)
  }

  @Test(
    "Bytes have binary units",
    arguments: [
      (512, "512 B"), (1024, "1.00 KiB"), (1536, "1.50 KiB"), (210 << 20, "210 MiB"),
      (1000 << 20, "1000 MiB"), (3 << 30, "3.00 GiB"), (130 << 30, "130 GiB"),
    ])
  func bytes(value: Int, text: String) {
    #expect(Format.bytes(value) == text)
  }

  @Test(
    "Times to come are clocks",
    arguments: [
      (0.2, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (754, "12:34"), (3723, "1:02:03"),
      (273_600, "3d 04h"), (Double.infinity, "-"), (Double.nan, "-"), (-1, "-"),
    ])
  func duration(seconds: Double, text: String) {
    #expect(Format.duration(seconds) == text)
  }

  @Test(
    "Measured times have a unit below a minute",
    arguments: [(0.0123, "12.3 ms"), (4.214, "4.21 s"), (42, "42.0 s"), (61, "1:01")])
  func seconds(seconds: Double, text: String) {
    #expect(Format.seconds(seconds) == text)
  }

  @Test(
    "Losses have four decimals where these say something",
    arguments: [
      (1.386294, "1.3863"), (0, "0.0000"), (11.09, "11.0900"), (0.0000321, "3.21e-05"),
      (12345.6, "1.23e+04"), (Double.infinity, "inf"),
    ])
  func fixed(value: Double, text: String) {
    #expect(Format.fixed(value) == text)
  }

  @Test(
    "Other numbers have three digits",
    arguments: [
      (0, "0"), (0.8123, "0.812"), (0.9999, "1.00"), (1.5, "1.50"), (9.999, "10.0"),
      (99.99, "100"), (1240, "1240"), (12_400, "1.24e+04"), (0.001, "1.00e-03"),
    ])
  func digits(value: Double, text: String) {
    #expect(Format.digits(value) == text)
  }

  @Test(
    "Thousands are set apart",
    arguments: [
      (0, "0"), (12, "12"), (123, "123"), (1234, "1,234"), (123_456, "123,456"),
      (-1_234_567, "-1,234,567"),
    ])
  func grouped(value: Int, text: String) {
    #expect(Format.grouped(value) == text)
  }

  @Test("A long text keeps its two ends")
  func shortened() {
    #expect(Format.shortened("abcdefghij", 10) == "abcdefghij")
    #expect(Format.shortened("abcdefghij", 7) == "abc…hij")
  }

  @Test(
    "A line that is too long goes on below, between words",
    arguments: [
      ("short enough", "short enough"),
      ("warning: ranks share their cores", "warning: ranks share\n  their cores"),
      (
        "  slow     no core: load 8 on 2",
        "  slow     no core:\n           load 8 on\n           2"
      ),
      (
        "at /a/very/long/path/that/stays whole",
        "at\n  /a/very/long/path/that/stays\n  whole"
      ),
      (
        "\u{1b}[33mwarning:\u{1b}[0m ranks share their cores",
        "\u{1b}[33mwarning:\u{1b}[0m ranks share\n  their cores"
      ),
      ("    exactly as wide x", "    exactly as wide\n      x"),
    ])
  func folded(line: String, text: String) {
    #expect(Format.folded(line, width: 20) == text)
  }
}
