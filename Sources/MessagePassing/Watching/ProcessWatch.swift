import Faults
import Glibc
import Measurement
import Synchronization

/// The watch of this process: a thread that tells others what the process is at, and ends it where it stands still.
///
/// It calls no MPI. From the start of the process to its end it answers, within milliseconds, what the process
/// waits for or is at, by a socket of the machine and, where a job has several hosts, by a port. A rank that has
/// waited too long asks all others so, and names the one that holds all up: who does not answer is stopped or gone.
/// One of a process, as its threads and signals are.
package final class ProcessWatch: Sendable {
  /// This process's.
  package static let current = ProcessWatch()

  /// A process of the world, as others reach it.
  struct Member: Sendable {
    var rank: Int
    var host: String
    var process: Int32
    var addresses: [WatchAddress]
    var isHere: Bool
  }

  private struct State {
    /// What this process's ranks wait for.
    var watches: [Watch] = []
    /// All processes, in rank order; empty before there is a world.
    var members: [Member] = []
    /// This process: the launcher's number first, the world's later.
    var rank = 0
    var token = ""
    var launched: (size: Int, here: Int, job: String)?
  }

  private let state = Mutex(State())
  private let limitNanoseconds = Atomic<UInt64>(UInt64(Watch.usualDeadline * 1e9))
  private let lastBeat = Atomic<UInt64>(0)
  private let listener = WatchListener()

  /// Whether this process is watched, since a launcher started it.
  package var isWatching: Bool { state.withLock { $0.launched != nil } }

  /// Seconds after which what stands still is ended.
  package var limit: Double {
    get { Double(limitNanoseconds.load(ordering: .relaxed)) * 1e-9 }
    set { limitNanoseconds.store(UInt64(min(max(newValue, 0.001), 3e9) * 1e9), ordering: .relaxed) }
  }

  /// Begins to watch a process that a launcher started, before anything else that may stand still.
  package func begin(environment: [String: String]) {
    func number(_ names: String...) -> Int? {
      names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first
    }
    let launcher = Launcher(environment: environment)
    guard launcher.isPresent else { return }
    let rank = number("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID") ?? 0
    let job = ["PMIX_NAMESPACE", "PMIX_SERVER_TMPDIR", "SLURM_JOB_ID", "SLURM_STEP_ID"]
      .map { environment[$0] ?? "" }.joined(separator: " ")
    let size = launcher.ranks?.count ?? 1
    state.withLock {
      $0.rank = rank
      $0.launched = (
        size, number("OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_TASKS_PER_NODE") ?? size, job
      )
    }
    LastWords.name("rank \(rank) (\(Host.name))")
    lastBeat.store(AwakeClock.nanoseconds, ordering: .relaxed)
    _ = listener.listen(at: WatchAddress(job: job, launchRank: rank))
    let parent = environment["OMPI_COMM_WORLD_RANK"] == nil ? nil : getppid()
    start { [self] in run(parent: parent) }
  }

  /// Knows from now on what this process's ranks wait for: one, or several that are threads.
  func adopt(_ watches: [Watch]) { state.withLock { $0.watches = watches } }

  /// Learns how other processes are reached; collective.
  func join(_ world: any Communicator, isOneHost: Bool, launchRank: Int)
    throws(MessagePassingError)
  {
    guard let launched = state.withLock({ $0.launched }) else { return }
    var own = ""
    if !isOneHost, let port = listener.listen(at: WatchAddress(host: "0.0.0.0", port: 0)!) {
      own = WatchAddress.ofThisHost().map { "\($0):\(port)" }.joined(separator: ",")
    }
    let hosts = try world.allGather(
      "\(launchRank)\t\(getpid())\t\(Host.identity)\t\(world.hostName)\t\(own)")
    let token = try world.broadcast("\(UInt64.random(in: 0...UInt64.max))")
    let here = Host.identity
    let members = hosts.enumerated().map { rank, text in
      let fields = text.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      let isHere = fields[2] == here
      let far = fields[4].split(separator: ",").compactMap { text -> WatchAddress? in
        let parts = text.split(separator: ":")
        return WatchAddress(host: String(parts[0]), port: UInt16(parts[1]) ?? 0)
      }
      return Member(
        rank: rank, host: fields[3], process: Int32(fields[1]) ?? 0,
        addresses: isHere
          ? [WatchAddress(job: launched.job, launchRank: Int(fields[0]) ?? 0)] : far,
        isHere: isHere)
    }
    state.withLock { ($0.members, $0.rank, $0.token) = (members, world.rank, token) }
    LastWords.name(world.name)
    guard world.rank > 0 else { return }
    // Rank 0 has the run's log.
    LastWords.carry { line in
      _ = WatchInquiry.ask(members[0].addresses, "end \(token) \(line)", patience: 1)
    }
    if let address = members[0].addresses.first {
      address.bytes.withUnsafeBytes { CrashHandler.tell($0, prefix: "end \(token) ") }
    }
  }

  /// What follows for a rank of this process that has waited too long.
  func judge(waitingFor peers: [Int]?) -> Verdict {
    let (rank, hasMembers) = state.withLock { ($0.rank, !$0.members.isEmpty) }
    guard hasMembers else { return .end("no other rank can be asked") }
    // Another rank of this process, a thread as this one, may be what it waits for.
    if case .working = report.answer { return .waitOn }
    return Verdict(of: rank, waitingFor: peers, reports(), limit: limit)
  }

  /// What all other processes tell.
  private func reports() -> [RankReport] {
    let (members, own, token, launched) = state.withLock {
      ($0.members, $0.rank, $0.token, $0.launched)
    }
    let asked =
      members.isEmpty
      ? (0..<(launched?.size ?? 0)).map {
        Member(
          rank: $0, host: "", process: 0,
          addresses: [WatchAddress(job: launched!.job, launchRank: $0)], isHere: true)
      } : members
    let others = asked.filter { $0.rank != own }
    let pairs = others.flatMap { member in member.addresses.map { (member.rank, $0) } }
    let replies = WatchInquiry.ask(pairs.map(\.1), "ask \(token)")
    return others.map { member in
      let all = zip(pairs, replies).filter { $0.0.0 == member.rank }.map(\.1)
      var report = RankReport(
        rank: member.rank, host: member.host, process: member.process, .absent)
      for reply in all {
        switch reply {
        case .line(let line):
          if let told = RankReport(line: line) { return told }
          report.answer = .silent(isStopped: false)
        case .silence(let process):
          if member.process == 0 { report.process = process }
          report.answer = .silent(
            isStopped: member.isHere && WatchInquiry.isStopped(report.process))
        case .unreachable: break
        }
      }
      return report
    }
  }

  /// What this process tells.
  var report: RankReport {
    let phase = Phase.current
    let (rank, watches) = state.withLock { ($0.rank, $0.watches) }
    let waits = watches.map(\.currentWait)
    var answer: RankReport.Answer
    if phase.kind == .meeting {
      answer = .waiting(.init(purpose: phase.text, seconds: phase.seconds, peers: nil))
    } else if !waits.isEmpty, waits.allSatisfy({ $0 != nil }) {
      answer = .waiting(waits.compactMap { $0 }.max { $0.seconds < $1.seconds }!)
    } else {
      let last = lastBeat.load(ordering: .relaxed)
      let now = AwakeClock.nanoseconds
      answer = .working(
        idle: Double(now > last ? now - last : 0) * 1e-9, isLong: phase.kind == .long)
    }
    return RankReport(
      rank: rank, host: Host.name, process: getpid(), phase: phase.text,
      phaseSeconds: phase.seconds, answer)
  }

  // MARK: The thread

  private func start(_ body: @escaping @Sendable () -> Void) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 512 << 10)
    // Signals are for the other threads.
    var (all, before) = (sigset_t(), sigset_t())
    sigfillset(&all)
    for number in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP] { sigdelset(&all, number) }
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    final class Call: Sendable {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var handle = pthread_t()
    let code = pthread_create(
      &handle, &attributes,
      { raw in
        Unmanaged<Call>.fromOpaque(raw!).takeRetainedValue().body()
        return nil
      }, Unmanaged.passRetained(Call(body)).toOpaque())
    guard code == 0 else {
      LastWords.end(
        exhausted: "the watch's thread could not be started (\(String(cString: strerror(code)))); "
          + "raise the limits of memory and threads (ulimit -v, ulimit -u)")
    }
    pthread_detach(handle)
  }

  private func run(parent: pid_t?) {
    var stillness = Stillness()
    var last = Clock.nanoseconds
    while true {
      let limit = limit
      listener.serve(milliseconds: Int32(min(1000, max(20, limit * 100)))) { line, isOwn in
        reply(to: line, isOwn: isOwn)
      }
      let now = Clock.nanoseconds
      if now - last > 4_000_000_000 { AwakeClock.skip(now - last - 1_000_000_000) }
      last = now
      let beats = stillness.look()
      if beats { lastBeat.store(AwakeClock.nanoseconds, ordering: .relaxed) }
      if let parent, getppid() != parent {
        LastWords.end(
          "what started it, process \(parent), has ended; start the job again, and it goes on by "
            + "--training.resume=auto", code: 5)
      }
      let phase = Phase.current
      if phase.kind == .meeting, phase.seconds > limit { endMeeting(phase) }
      let own = report
      if case .working(let idle, _) = own.answer, phase.kind == .working, idle > limit,
        stillness.seconds > limit
      {
        // A wait may have ended just now.
        if stillness.look() {
          lastBeat.store(AwakeClock.nanoseconds, ordering: .relaxed)
        } else if report.isIdle(longerThan: limit) {
          LastWords.end(
            "stands still in \(phase.text) since \(Verdict.seconds(stillness.seconds)): a call to the "
              + "system does not come back; look at its files and pipes", code: 5)
        }
      }
    }
  }

  private func reply(to line: String, isOwn: Bool) -> String? {
    let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    let token = state.withLock { $0.token }
    guard let verb = words.first, isOwn || (words.count > 1 && !token.isEmpty && words[1] == token)
    else { return nil }
    switch verb {
    case "ask": return report.line
    case "end" where words.count == 3:
      LastWords.carry(String(words[2]))
      return "heard"
    default: return nil
    }
  }

  /// Ends a meeting to which not all ranks have come.
  private func endMeeting(_ phase: Phase.Reading) -> Never {
    let reports = reports()
    let (own, launched, isKnown) = state.withLock { ($0.rank, $0.launched, !$0.members.isEmpty) }
    var present = reports
    if !isKnown, let launched, launched.here < launched.size {
      // Others may be on other hosts, where nobody can be asked yet.
      let here = reports.count { $0.answer != .absent } + 1
      if here >= launched.here { present.removeAll { $0.answer == .absent } }
    }
    var cause = "ranks of other hosts"
    if case .end(let sentence) = Verdict(of: own, waitingFor: nil, present, limit: limit) {
      cause = sentence
    }
    // One speaks for all that wait here: the first.
    let isFirst = !reports.contains {
      if case .waiting = $0.answer { $0.rank < own } else { false }
    }
    if !isFirst { sleep(5) }
    LastWords.end(
      "waited \(Verdict.seconds(phase.seconds)) \(phase.text): \(cause); see to that, or give "
        + "parallel.timeout more seconds", code: 5)
  }
}

/// For how long a process has done nothing at all: shown no progress, used no processor, moved no byte.
private struct Stillness {
  private var beats: UInt64 = 0
  private var bytes = ""
  private var processor = 0.0
  private var since = AwakeClock.nanoseconds

  var seconds: Double {
    let now = AwakeClock.nanoseconds
    return Double(now > since ? now - since : 0) * 1e-9
  }

  /// Looks at the process; gives whether it has shown progress.
  mutating func look() -> Bool {
    let beats = Phase.beatCount
    let hasProgressed = beats != self.beats
    self.beats = beats
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    let processor = Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    // This thread itself uses a little.
    let hasComputed = processor - self.processor > max(0.05, 0.02 * seconds)
    var hasMoved = false
    if seconds > 1, let text = readSystemFile("/proc/self/io") {
      // rchar counts what this very look reads.
      let now = text.split(separator: "\n").filter {
        $0.hasPrefix("wchar") || $0.hasPrefix("read_b")
      }
      .joined()
      hasMoved = now != bytes
      bytes = now
    }
    if hasProgressed || hasComputed || hasMoved {
      since = AwakeClock.nanoseconds
      self.processor = processor
    }
    return hasProgressed
  }
}
