import Foundation
import Testing

@testable import Configuration

@Suite("JSON text")
struct JSONTextTests {
  @Test(
    "Every text reads back as itself",
    arguments: [
      "", "plain", "a/b", "say \"so\"", "back\\slash", "\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}", "é €",
      "😀",
      "\u{2028}\u{2029}\u{85}", "e\u{301}",
    ])
  func texts(text: String) throws {
    for form in [Data(JSONValue.string(text).text.utf8), JSONValue.string(text).encoded] {
      let strict = try JSONSerialization.jsonObject(with: form, options: .fragmentsAllowed)
      #expect((strict as? String)?.unicodeScalars.elementsEqual(text.unicodeScalars) == true)
      #expect(try JSONValue(form) == .string(text))
    }
  }

  @Test("A key is a text like any other")
  func keys() throws {
    var line = JSONLine()
    line.set("a \"quoted\"\nkey", 1)
    #expect(try JSONValue(Data(line.text.utf8)) == ["a \"quoted\"\nkey": 1])
    #expect(line.text == JSONValue.object(["a \"quoted\"\nkey": 1]).text)
  }

  @Test(
    "Numbers are the shortest that read back as the same number",
    arguments: [
      (0.1, "0.1"), (1e-5, "1e-05"), (5e-324, "5e-324"), (-1.5, "-1.5"),
      (1.7976931348623157e308, "1.7976931348623157e+308"), (0.1 + 0.2, "0.30000000000000004"),
    ])
  func numbers(number: Double, text: String) throws {
    #expect(JSONValue.number(number).text == text)
    #expect(try JSONValue(Data(text.utf8)).number == number)
  }

  @Test(
    "A number that was written with a point is written with one again, and equals the whole one")
  func points() throws {
    let value = try JSONValue(Data(#"{"a":1.0,"b":[2,3.0,1e2]}"#.utf8))
    #expect(value.text == #"{"a":1.0,"b":[2,3.0,100.0]}"#)
    #expect(value == ["a": 1, "b": [2, 3, 100]])
    #expect(value["a"]?.integer == 1)
    #expect(value["a"] != 1.5)
  }

  @Test(
    "Text that is no JSON is none",
    arguments: [
      "", "{", "[1,]", "{\"a\" 1}", "01x", "1.", "-", "nul", "\"a", "\"\\ud800\"", "\"\\x\"", "1 2",
      "[\"a\u{1}\"]",
    ])
  func wrong(text: String) { #expect(JSONParser.value(of: Data(text.utf8)) == nil) }

  @Test("Whole numbers are exact", arguments: [Int.min, -1, 0, 1 << 53 + 1, Int.max])
  func integers(number: Int) throws {
    #expect(JSONValue.integer(number).text == String(number))
    #expect(try JSONValue(JSONValue.integer(number).encoded) == .integer(number))
  }

  @Test("A number that is not finite is null on a line; a file keeps it, as Python does")
  func notFinite() throws {
    let value: JSONValue = [.number(.infinity), .number(-.infinity), .number(.nan), 0.5]
    #expect(value.text == "[null,null,null,0.5]")
    let kept = try #require(try JSONValue(value.encoded).array)
    #expect(kept.map(\.number)[..<2] == [.infinity, -.infinity])
    #expect(kept[2].number?.isNaN == true)
    #expect(kept[3] == 0.5)
    var line = JSONLine()
    line.set("loss", Double.nan)
    line.set("rest", [1, .infinity])
    line.set("none", nil)
    #expect(line.text == #"{"loss":null,"rest":[1.0,null],"none":null}"#)
  }

  @Test("A line keeps the order of its keys, and what lies in them")
  func order() {
    var inner = JSONLine()
    inner.set("z", ["b", "a"])
    inner.set("a", true)
    var line = JSONLine()
    line.set("second", inner)
    line.set("first", objects: [inner, JSONLine()])
    line.set("sorted", ["b": 1, "a": nil as Double? == nil ? .null : 0])
    #expect(
      line.text
        == #"{"second":{"z":["b","a"],"a":true},"first":[{"z":["b","a"],"a":true},{}],"#
        + #""sorted":{"a":null,"b":1}}"#)
  }

  @Test("A file is indented, with its keys sorted and a line break at its end")
  func file() {
    let value: JSONValue = ["b": [1, [:]], "a": ["x": "y", "list": []]]
    #expect(
      String(decoding: value.encoded, as: UTF8.self) == """
        {
          "a": {
            "list": [],
            "x": "y"
          },
          "b": [
            1,
            {}
          ]
        }

        """)
  }
}
