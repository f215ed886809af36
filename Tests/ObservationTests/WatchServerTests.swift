import FlyingFox
import FlyingSocks
import Foundation
import LogFixtures
import Reporting
import TemporaryFolders
import Testing

@testable import Observation

@Suite("The page that is served")
struct WatchServerTests {
  private let files: TemporaryFolder

  init() throws {
    files = try TemporaryFolder()
    let log = try RunLog(path: "\(files.path)/log.jsonl")
    try log.start(LogFixture.start(steps: 6))
    try log.step(LogFixture.step(0))
  }

  private func server(_ address: String = "127.0.0.1:0", token: String? = nil) throws -> WatchServer
  {
    try WatchServer([files.path], at: ServeAddress(address), token: token)
  }

  private func request(
    _ path: String, token: String? = nil, headers: HTTPHeaders = [.host: "localhost:8080"]
  ) -> HTTPRequest {
    HTTPRequest(
      method: .GET, version: .http11, path: path,
      query: token.map { [.init(name: "token", value: $0)] } ?? [], headers: headers,
      body: HTTPBodySequence())
  }

  @Test(
    "Addresses are read with their port",
    arguments: [
      ("127.0.0.1:8080", "127.0.0.1", true), ("localhost:8080", "127.0.0.1", true),
      ("[::1]:8080", "::1", true), (":8080", "0.0.0.0", false),
      ("10.0.0.7:8080", "10.0.0.7", false),
      ("[::]:8080", "::", false),
    ])
  func address(text: String, host: String, isLoopback: Bool) throws {
    let address = try ServeAddress(text)
    #expect(address.host == host && address.port == 8080 && address.isLoopback == isLoopback)
  }

  @Test(
    "What is no address is told", arguments: ["8080", "localhost", "::1:8080", "a:b", "a:70000"])
  func noAddress(text: String) {
    #expect(throws: ObservationError.address(text)) { try ServeAddress(text) }
  }

  @Test("An address that others reach needs a token")
  func needsToken() throws {
    #expect(throws: ObservationError.needsToken("0.0.0.0:8080")) { try server(":8080") }
    #expect(throws: ObservationError.needsToken("0.0.0.0:8080")) { try server(":8080", token: "") }
    _ = try server(":8080", token: "secret")
  }

  @Test("Without the token, or by a name that is not this machine's, nothing is given away")
  func admission() async throws {
    let open = try server()
    #expect(await open.answer(request("/")).statusCode == .ok)
    let foreign: HTTPHeaders = [.host: "evil.example:8080"]
    #expect(await open.answer(request("/", headers: foreign)).statusCode == .unauthorized)
    let closed = try server(":8080", token: "secret")
    for token in [nil, "", "secre", "secrets", "Secret"] {
      for path in ["/", "/data", "/events", "/metrics"] {
        let answer = await closed.answer(request(path, token: token))
        #expect(answer.statusCode == .unauthorized)
        #expect(try await !String(decoding: answer.bodyData, as: UTF8.self).contains("1.38"))
      }
    }
    #expect(await closed.answer(request("/", token: "secret", headers: foreign)).statusCode == .ok)
    let bearer: HTTPHeaders = [.host: "node1:8080", .authorization: "Bearer secret"]
    #expect(await closed.answer(request("/metrics", headers: bearer)).statusCode == .ok)
  }

  @Test("Metrics are in Prometheus' text form, with the labels of runs and ranks")
  func metrics() async throws {
    var record = RunRecord(folder: "runs/a \"b\"\\c")
    record.take(
      line:
        "{\"event\":\"step\",\"step\":7,\"loss\":1.5,\"grad_norm\":null,\"state_wait_seconds\":[0.5,0.25]}"
    )
    let lines = Metrics([record]).text.split(separator: "\n")
    #expect(lines.contains("# TYPE lasp_step gauge"))
    #expect(lines.contains(#"lasp_step{run="a \"b\"\\c"} 7.0"#))
    #expect(lines.contains(#"lasp_loss_nats{run="a \"b\"\\c"} 1.5"#))
    #expect(lines.contains(#"lasp_gradient_norm{run="a \"b\"\\c"} NaN"#))
    #expect(lines.contains(#"lasp_state_wait_seconds{run="a \"b\"\\c",rank="1"} 0.25"#))
    #expect(lines.allSatisfy { $0.hasPrefix("#") || $0.hasPrefix("lasp_") })
  }

  @Test("Over a real connection the page comes, and its data whenever there is more")
  func served() async throws {
    let server = try server()
    let ports = AsyncStream<UInt16>.makeStream()
    let task = Task { try await server.run { ports.continuation.yield($0) } }
    defer { task.cancel() }
    var iterator = ports.stream.makeAsyncIterator()
    let port = try #require(await iterator.next())

    let socket = try await AsyncSocket.connected(to: .inet(ip4: "127.0.0.1", port: port))
    try await socket.write(
      Data("GET /events HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\r\n".utf8))
    func read(until text: String) async throws -> String {
      var all = ""
      while !all.contains(text) {
        let bytes = try await socket.read(atMost: 4096)
        all += String(decoding: bytes, as: UTF8.self)
      }
      return all
    }
    let first = try await read(until: "\"done\":1")
    #expect(first.contains("text/event-stream") && first.contains("data: {"))
    try RunLog(path: "\(files.path)/log.jsonl").step(LogFixture.step(1))
    _ = try await read(until: "\"done\":2")
    try socket.close()
  }
}
