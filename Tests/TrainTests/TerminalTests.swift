import Foundation
import TestSupport
import Testing

/// A run on a terminal that is closed, and in a pipe whose other programs die first.
@Suite struct TerminalTests {
  static let setsid = "/usr/bin/setsid"
  static let hasSessions = FileManager.default.isExecutableFile(atPath: setsid)

  static let endless =
    ["run", "--output", "r", "--checkpoint-every", "1000", "--epochs", "1000000"] + Program.tiny.dropLast(2)
    + Program.tinyData

  /// A terminal, whose one side a program has and whose other a person: closing it is closing the window.
  final class Terminal {
    private var screen: Int32
    let streams: [Int32: FileHandle]
    private(set) var shown = ""

    /// TIOCSPTLCK and TIOCGPTN, macros that Swift does not see.
    private static let (setLock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
    static let columns: UInt16 = 150

    init() throws {
      screen = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
      var (locked, number): (Int32, UInt32) = (0, 0)
      try #require(screen >= 0 && ioctl(screen, Self.setLock, &locked) == 0)
      try #require(ioctl(screen, Self.getNumber, &number) == 0)
      let own = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
      try #require(own >= 0)
      var size = winsize(ws_row: 40, ws_col: Self.columns, ws_xpixel: 0, ws_ypixel: 0)
      try #require(ioctl(own, UInt(TIOCSWINSZ), &size) == 0)
      let handle = FileHandle(fileDescriptor: own, closeOnDealloc: true)
      streams = [STDIN_FILENO: handle, STDOUT_FILENO: handle, STDERR_FILENO: handle]
    }

    /// Reads until the text is on the screen.
    func wait(for text: String) {
      var some = [UInt8](repeating: 0, count: 4096)
      while !shown.contains(text) {
        let count = read(screen, &some, some.count)
        if count <= 0 { return }
        shown += String(decoding: some.prefix(count), as: UTF8.self)
      }
    }

    func type(_ text: String) { _ = text.withCString { write(screen, $0, strlen($0)) } }

    /// The window is gone: its session gets SIGHUP, and what is written to it ends in EIO.
    func closeWindow() {
      close(screen)
      screen = -1
    }

    deinit { if screen >= 0 { close(screen) } }
  }

  /// The program as the leader of a session on a terminal of its own.
  ///
  /// - Parameter shell: commands of the session before the program.
  static func start(
    _ arguments: [String], on terminal: Terminal, shell: String = ":", in directory: TemporaryDirectory
  ) throws -> Program.Running {
    try Program.Running(
      arguments, in: directory,
      shell: "set -- \(setsid) --ctty --wait /bin/sh -c '\(shell); exec \"$@\"' sh \"$@\"", streams: terminal.streams)
  }

  /// A run ended as asked, and another can continue from it.
  static func requireCheckpoint(_ directory: TemporaryDirectory) throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: directory.file("r/checkpoints"))
    #expect(files.contains { $0.hasSuffix(".safetensors") }, "\(files)")
    #expect(try Program.run(["digest", "r"], in: directory).status == 0)
  }

  @Test(.enabled(if: hasSessions), arguments: [0, 85] as [Int32])
  func aClosedWindow(status: Int32) throws {
    let directory = try TemporaryDirectory()
    let terminal = try Terminal()
    let running = try Self.start(
      Self.endless + ["--json", "--requeue-exit", "\(status)"], on: terminal, in: directory)
    terminal.wait(for: "epoch 2/")
    terminal.closeWindow()
    let outcome = try running.end()
    #expect(outcome.status == status && !outcome.signalled, "\(outcome)")
    try Self.requireCheckpoint(directory)
  }

  @Test(.enabled(if: hasSessions)) func aClosedWindowUnderNohup() throws {
    let directory = try TemporaryDirectory()
    let terminal = try Terminal()
    let running = try Self.start(
      Self.endless + ["--epochs", "400"], on: terminal, shell: "trap \"\" HUP", in: directory)
    terminal.wait(for: "epoch 2/")
    terminal.closeWindow()
    let outcome = try running.end()
    #expect(outcome.status == 0 && !outcome.signalled && directory.exists("r/result.json"), "\(outcome)")
  }

  @Test(.enabled(if: hasSessions)) func controlC() throws {
    let directory = try TemporaryDirectory()
    let terminal = try Terminal()
    let running = try Self.start(Self.endless, on: terminal, in: directory)
    terminal.wait(for: "epoch 2/")
    terminal.type("\u{3}")
    terminal.wait(for: "continue with --resume")
    let outcome = try running.end()
    #expect(outcome.status == 130 && !outcome.signalled, "\(outcome)")
    #expect(terminal.shown.contains("SIGINT: saving, then stopping"))
    try Self.requireCheckpoint(directory)
  }

  /// What moves on a terminal, and what stands still in a pipe.
  @Test(.enabled(if: hasSessions), .timeLimit(.minutes(5))) func aRunShowsItself() throws {
    let directory = try TemporaryDirectory()
    let terminal = try Terminal()
    let running = try Self.start(Self.endless, on: terminal, shell: "unset NO_COLOR", in: directory)
    terminal.wait(for: "left · run ")
    terminal.type("\u{3}")
    terminal.wait(for: "continue with --resume")
    #expect(try running.end().status == 130)
    for words in [
      "\u{1B}[1;32m  best\u{1B}[0m", "model: ", " parameters", "machine: ", "output in r", "samples/s · ",
      "a second Control-C stops at once",
    ] {
      #expect(terminal.shown.contains(words), "\(words): \(terminal.shown)")
    }
    let run = ["run", "--output", "p"] + Program.tiny + Program.tinyData
    let piped = try Program.run(run, in: directory)
    #expect(piped.status == 0 && !piped.output.contains("\u{1B}") && !piped.output.contains("░"), "\(piped.output)")
    let quiet = try Program.run(run + ["--overwrite", "--quiet"], in: directory)
    #expect(quiet.lines.count == 4 && quiet.lines.last == piped.lines.last, "\(quiet.output)")
  }

  @Test(.enabled(if: hasSessions), .timeLimit(.minutes(5))) func noColours() throws {
    let directory = try TemporaryDirectory()
    let terminal = try Terminal()
    let running = try Self.start(
      Self.endless + ["--epochs", "2"], on: terminal, shell: "export NO_COLOR=1", in: directory)
    terminal.wait(for: "digest ")
    #expect(try running.end().status == 0)
    #expect(terminal.shown.contains("  best") && !terminal.shown.contains("\u{1B}[1"))
  }

  /// Control-C at `train run … 2>&1 | tee log` goes to both, and tee is the faster to die.
  @Test(.enabled(if: hasSessions)) func controlCIntoAPipeOfTee() throws {
    let directory = try TemporaryDirectory()
    let terminal = try Terminal()
    // Shells that live on, as an interactive one does, to tell the status.
    let pipe = "trap : INT; (trap : INT; \"$@\" 2>&1; echo $? >status) | tee log; exit 0"
    let running = try Self.start(Self.endless, on: terminal, shell: pipe, in: directory)
    terminal.wait(for: "epoch 2/")
    terminal.type("\u{3}")
    _ = try running.end()
    #expect(try String(contentsOfFile: directory.file("status"), encoding: .utf8) == "130\n")
    try Self.requireCheckpoint(directory)
  }

  /// A reader that has gone long before, and a run that is stopped later.
  @Test(arguments: [(SIGTERM, 0), (SIGINT, 130)] as [(Int32, Int32)])
  func aReaderThatIsGone(signal: Int32, status: Int32) throws {
    let directory = try TemporaryDirectory()
    let pipe = Pipe()
    let writer = pipe.fileHandleForWriting
    let running = try Program.Running(
      Self.endless + ["--checkpoint-every", "3", "--keep", "1000000"], in: directory,
      streams: [STDOUT_FILENO: writer, STDERR_FILENO: writer])
    _ = pipe.fileHandleForReading.availableData
    try pipe.fileHandleForReading.close()
    // Later ones are written when nobody reads any longer.
    let checkpoints = directory.file("r/checkpoints")
    func count() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: checkpoints))?.count ?? 0 }
    while running.isRunning, count() < 5 { usleep(2000) }
    kill(running.identifier, signal)
    let outcome = try running.end()
    #expect(outcome.status == status && !outcome.signalled, "\(outcome)")
    try Self.requireCheckpoint(directory)
  }
}
