#if LASP_SERVER
  import FlyingFox
  import FlyingSocks
  import Foundation

  /// The live page of some runs, served by a process of its own: the trainer knows nothing of it.
  ///
  /// Concretely: `/` the page, `/events` its data as server-sent events, `/data` the same once, `/metrics` for Prometheus.
  struct WatchServer: Sendable {
    private let runs: WatchedRuns
    private let title: String
    private let address: ServeAddress
    private let admission: Admission

    /// - Throws: `ObservationError.needsToken` for an address that others reach, without a token.
    init(_ runs: [String], at address: ServeAddress, token: String?) throws(ObservationError) {
      guard address.isLoopback || !(token ?? "").isEmpty else {
        throw .needsToken("\(address)")
      }
      self.runs = WatchedRuns(runs)
      self.address = address
      title = runs.map { LogFollower(run: $0).record.name }.joined(separator: ", ")
      admission = Admission(token: token, isLoopback: address.isLoopback)
    }

    /// Serves until the task is cancelled.
    ///
    /// - Parameter ready: Called with the port once the page can be seen.
    func run(ready: @escaping @Sendable (UInt16) -> Void) async throws {
      let server: HTTPServer
      do {
        server =
          address.isLong
          ? HTTPServer(
            address: try sockaddr_in6.inet6(ip6: address.host, port: address.port),
            logger: .disabled)
          : HTTPServer(
            address: try sockaddr_in.inet(ip4: address.host, port: address.port), logger: .disabled)
      } catch {
        throw ObservationError.address("\(address)")
      }
      await server.appendRoute("*") { await answer($0) }
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await runs.follow(every: 0.5) }
        group.addTask {
          do { try await server.run() } catch is CancellationError {
          } catch {
            throw ObservationError.taken("\(address)", reason: error.localizedDescription)
          }
        }
        group.addTask {
          try await server.waitUntilListening()
          switch await server.listeningAddress {
          case .ip4(_, let port)?, .ip6(_, let port)?: ready(port)
          default: ready(address.port)
          }
          try await Task.sleep(for: .seconds(1e9))
        }
        defer { group.cancelAll() }
        try await group.next()
      }
    }

    /// Answers a request.
    func answer(_ request: HTTPRequest) async -> HTTPResponse {
      guard
        admission.admits(
          host: request.headers[.host], authorization: request.headers[.authorization],
          token: request.query.first { $0.name == "token" }?.value)
      else {
        return text("401: give the token, as ?token=… or as a bearer's\n", status: .unauthorized)
      }
      guard request.method == .GET else {
        return text("405: only GET\n", status: .methodNotAllowed)
      }
      switch request.path {
      case "/":
        let data = await runs.page()
        return html(ReportPage(data.text, title: title, isLive: true).html)
      case "/data":
        return respond(await runs.page().text, type: "application/json")
      case "/events":
        return HTTPResponse(
          statusCode: .ok,
          headers: [.contentType: "text/event-stream", HTTPHeader("Cache-Control"): "no-store"],
          body: HTTPBodySequence(from: EventStream(runs: runs), suggestedBufferSize: 1 << 16))
      case "/metrics":
        return respond(
          Metrics(await runs.records).text, type: "text/plain; version=0.0.4; charset=utf-8")
      default: return text("404: there are /, /data, /events and /metrics\n", status: .notFound)
      }
    }

    private func html(_ page: String) -> HTTPResponse {
      respond(page, type: "text/html; charset=utf-8")
    }

    private func text(_ text: String, status: HTTPStatusCode) -> HTTPResponse {
      respond(text, type: "text/plain; charset=utf-8", status: status)
    }

    private func respond(_ text: String, type: String, status: HTTPStatusCode = .ok) -> HTTPResponse
    {
      HTTPResponse(
        statusCode: status,
        headers: [
          .contentType: type, HTTPHeader("Cache-Control"): "no-store",
          HTTPHeader("Referrer-Policy"): "no-referrer",
          HTTPHeader("X-Content-Type-Options"): "nosniff",
        ], body: Data(text.utf8))
    }
  }
#endif
