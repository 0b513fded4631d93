"""carat launch, with stand-ins for mpirun, for what reaches a host, and for the trainer."""
import json
import os
import signal
import subprocess
import sys
import time
import unittest
import unittest.mock
from typing import Any, List

from carat import hosts, job
from carat.errors import FormatError, UsageError
from carat.run_directory import RunDirectory
from support import SCRIPTS, FileTestCase

# Each start takes the next of what is planned; the last is taken again and again.
MPIRUN = """#!{python}
import json, os, signal, sys, time
if sys.argv[1:] == ["--version"]:
    print("mpirun (Open MPI) 4.1.4")
    sys.exit(0)
here = {directory!r}
with open(here + "/plan") as file:
    plan = json.load(file)
now = plan[0]
with open(here + "/plan", "w") as file:
    json.dump(plan[1:] or plan, file)
def save(step):
    os.makedirs(here + "/run/checkpoints", exist_ok=True)
    open(here + "/run/checkpoints/step-%09d.safetensors" % step, "w").close()
def stop(number, _):
    with open(here + "/signals", "a") as file:
        file.write("%d " % number)
    if now["hang"] == "deaf":
        return
    save(now["step"] + 1)
    sys.exit(now.get("stopped", 0))
signal.signal(signal.SIGUSR1, stop)
with open(here + "/calls", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if now.get("step"):
    save(now["step"])
print(now.get("say", ""), file=sys.stderr, flush=True)
while now.get("hang"):
    time.sleep(0.05)
if now.get("finish"):
    open(here + "/run/result.json", "w").close()
sys.exit(now.get("status", 0))
"""
# A host is down (a file says so), hangs, or is this machine.
AGENT = """#!/bin/sh
host=$1; shift
[ ! -e "{directory}/down-$host" ] || {{ echo "ssh: connect to host $host: No route to host" >&2; exit 255; }}
[ ! -e "{directory}/hung-$host" ] || exec sleep 60
[ ! -e "{directory}/bare-$host" ] || exit 1
exec sh -c "$*"
"""
A, B, C = "198.51.100.1", "198.51.100.2", "198.51.100.3"
KILLED = f"mpirun noticed that process rank 1 with PID 0 on node {B} exited on signal 9 (Killed)."
FINISH = {"step": 500, "finish": True}


class LaunchTests(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name, text in (("mpirun", MPIRUN), ("agent", AGENT), ("train", "#!/bin/sh\nexit 0\n")):
            self.bytes(name, text.format(python=sys.executable, directory=self.directory).encode())
            os.chmod(self.path(name), 0o755)

    def tearDown(self) -> None:
        """What was started has ended."""
        for name in os.listdir("/proc"):
            if name.isdecimal():
                try:
                    with open(f"/proc/{name}/cmdline") as file:
                        self.assertNotIn(self.path("mpirun"), file.read())
                except OSError:
                    pass

    def start(self, plan: List[Any], *options: str, words: str = "", where: str = f"{A},{B},{C}") -> "subprocess.Popen[str]":
        self.bytes("plan", json.dumps(plan).encode())
        named = ["--hosts", where, "--agent", self.path("agent")] if where else []
        command = [sys.executable, os.path.join(SCRIPTS, "launch"), *named, "--mpirun", self.path("mpirun"), "--pause", "0", *options,
                   "--", self.path("train"), "run", "--output", self.path("run"), *words.split()]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.directory)

    def launch(self, plan: List[Any], *options: str, words: str = "", where: str = f"{A},{B},{C}") -> "subprocess.CompletedProcess[str]":
        process = self.start(plan, *options, words=words, where=where)
        out, err = process.communicate()
        return subprocess.CompletedProcess([], process.returncode, out, err)

    def calls(self) -> List[str]:
        if os.path.exists(self.path("calls")):
            with open(self.path("calls")) as file:
                return file.read().splitlines()
        return []

    def until_hanging(self, process: "subprocess.Popen[str]", starts: int = 1) -> None:
        while len(self.calls()) < starts or not os.path.exists(self.path("run/checkpoints")):
            self.assertIsNone(process.poll())
            time.sleep(0.05)

    def test_goes_on_with_the_hosts_that_answer(self) -> None:
        self.bytes(f"down-{B}", b"")
        done = self.launch([{"step": 100, "status": 137, "say": KILLED}, FINISH], "--ranks-per-host", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        first, second = self.calls()
        # It was down before the first start, too.
        for call in (first, second):
            self.assertIn(f"--host {A}:2,{C}:2 -n 4 {self.path('train')} run --output {self.path('run')} --resume auto", call)
        said = [line for line in done.stderr.splitlines() if line.startswith("launch: ")]
        self.assertEqual(said, [
            f"launch: host {B} does not answer: ssh: connect to host {B}: No route to host",
            f"launch: 4 ranks on {A}, {C}, from the start",
            f"launch: rank 1 on host {B}: killed by SIGKILL; the newest checkpoint is of step 100",
            "launch: restart 1 of 5, from step 100, in 0 s",
            f"launch: host {B} does not answer: ssh: connect to host {B}: No route to host",
            f"launch: 4 ranks on {A}, {C}, from step 100"])
        self.assertIn(KILLED, done.stderr)

    def test_a_host_that_hangs_is_not_waited_for(self) -> None:
        self.bytes(f"hung-{C}", b"")
        began = time.monotonic()
        done = self.launch([FINISH], "--answer-within", "0.5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"host {C} does not answer: no answer within 0.5 s", done.stderr)
        self.assertLess(time.monotonic() - began, 30)

    def test_counts_restarts_without_a_checkpoint_in_between(self) -> None:
        done = self.launch([{"step": 7, "status": 137, "say": KILLED}], "--restarts", "2")
        # The first start wrote one, so the count began with the second.
        self.assertEqual((done.returncode, len(self.calls())), (137, 3), done.stderr)
        self.assertIn("not started again: 2 restarts without a checkpoint in between are allowed; the same command continues from step 7",
                      done.stderr)

    def test_progress_counts_anew(self) -> None:
        plan = [{"step": 10 * n, "status": 137, "say": KILLED} for n in range(1, 7)]
        done = self.launch([*plan, FINISH], "--restarts", "1")
        self.assertEqual((done.returncode, len(self.calls())), (0, 7), done.stderr)

    def test_no_restarts(self) -> None:
        done = self.launch([{"step": 7, "status": 76, "say": "train: rank 2 on host c: no sign of life for 30 s (dead)"}], "--restarts", "0")
        self.assertEqual((done.returncode, len(self.calls())), (76, 1), done.stderr)
        self.assertIn("launch: rank 2 on host c: no sign of life for 30 s; the newest checkpoint is of step 7", done.stderr)

    def test_errors_that_would_come_again(self) -> None:
        for status in (2, 64, 65, 69, 70, 71, 73, 74, 75):
            with self.subTest(status=status):
                if self.calls():
                    os.remove(self.path("calls"))
                done = self.launch([{"step": 7, "status": status, "say": "train: no"}])
                self.assertEqual((done.returncode, len(self.calls())), (status, 1), done.stderr)
                self.assertIn("it would come again: not started again", done.stderr)

    def test_a_lost_ranks_lock_is_waited_for(self) -> None:
        done = self.launch([{"step": 7, "status": 137}, {"status": 75}, {"status": 75}, FINISH])
        self.assertEqual((done.returncode, len(self.calls())), (0, 4), done.stderr)

    def test_no_host_answers(self) -> None:
        for host in (A, B, C):
            self.bytes(f"down-{host}", b"")
        done = self.launch([FINISH], "--restarts", "2")
        self.assertEqual((done.returncode, self.calls()), (76, []), done.stderr)
        self.assertIn("0 of 3 hosts answer, fewer than --least-hosts 1", done.stderr)

    def test_least_hosts(self) -> None:
        self.bytes(f"down-{A}", b"")
        self.assertEqual(self.launch([FINISH], "--restarts", "0", "--least-hosts", "3").returncode, 76)
        self.assertEqual(self.launch([FINISH], "--restarts", "0", "--least-hosts", "2").returncode, 0)

    def test_a_host_without_the_program(self) -> None:
        self.bytes(f"bare-{B}", b"")
        done = self.launch([FINISH])
        self.assert_refused(done, 69, f"{B}: no program", "hosts need the same program")
        self.assertEqual(self.calls(), [])

    def test_a_run_that_hangs(self) -> None:
        done = self.launch([{"step": 5, "hang": "deaf"}, FINISH], "--stall-after", "1")
        self.assertEqual((done.returncode, len(self.calls())), (0, 2), done.stderr)
        self.assertIn("for 1 s (--stall-after): ending all ranks", done.stderr)

    def test_an_mpirun_that_does_not_end(self) -> None:
        """Of a job whose host was cut off."""
        with unittest.mock.patch.object(job, "_GRACE", 0.2):
            started = job.Job(["sh", "-c", "echo 'train: rank 1 on host b: no sign of life for 3 s; ending all ranks' >&2; "
                                           "trap '' TERM; sleep 60 & sleep 60"], listens=True)
            while not started.is_stuck:
                self.assertIsNone(started.status())
                time.sleep(0.05)
            family = job.descendants(started.process.pid)
            self.assertEqual(len(family), 2)
            with unittest.mock.patch.object(started.process, "wait", lambda *_: subprocess.Popen.wait(started.process, 1)):
                started.kill()
            self.assertEqual(started.status(), 137)
            self.assertEqual(started.who_died(), "rank 1 on host b: no sign of life for 3 s")
            for pid in family:
                self.assertFalse(os.path.exists(f"/proc/{pid}") and job.descendants(pid))

    def test_signals_are_passed_on(self) -> None:
        for number, status, options in ((signal.SIGTERM, 0, ""), (signal.SIGINT, 130, ""), (signal.SIGUSR2, 85, "--requeue-exit 85")):
            with self.subTest(signal=number):
                process = self.start([{"step": 5, "hang": True, "stopped": 85 if options else 0}], words=options)
                self.until_hanging(process)
                process.send_signal(number)
                _, err = process.communicate()
                self.assertEqual((process.returncode, len(self.calls())), (status, 1), err)
                self.assertIn(f"stopped by {signal.Signals(number).name}", err)
                self.assertIn("the newest checkpoint is of step 6", err)
                with open(self.path("signals")) as file:
                    self.assertEqual(file.read(), f"{int(signal.SIGUSR1)} ")
                for name in ("calls", "signals", "run/checkpoints/step-000000005.safetensors", "run/checkpoints/step-000000006.safetensors"):
                    os.remove(self.path(name))
                os.rmdir(self.path("run/checkpoints"))

    def test_a_second_interrupt_ends_at_once(self) -> None:
        process = self.start([{"step": 5, "hang": "deaf"}])
        self.until_hanging(process)
        process.send_signal(signal.SIGINT)
        while not os.path.exists(self.path("signals")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
        self.assertEqual((process.returncode, len(self.calls())), (130, 1), err)

    def test_stopped_by_someone_else(self) -> None:
        done = self.launch([{"step": 5, "status": 0}])
        self.assertEqual((done.returncode, len(self.calls())), (0, 1), done.stderr)
        self.assertIn("asked to stop by someone else; not started again", done.stderr)

    def test_a_stop_before_it_starts_again(self) -> None:
        process = self.start([{"step": 5, "status": 137}], "--pause", "60")
        self.until_hanging(process)
        assert process.stderr
        while "restart 1 of 5" not in process.stderr.readline():
            self.assertIsNone(process.poll())
        process.terminate()
        _, err = process.communicate()
        self.assertEqual((process.returncode, len(self.calls())), (137, 1), err)

    def test_overwrite_until_the_new_run_has_a_checkpoint(self) -> None:
        os.makedirs(self.path("run/checkpoints"))
        self.bytes("run/checkpoints/step-000000400.safetensors", b"old")
        done = self.launch([{"status": 137}, {"step": 3, "status": 137}, FINISH], words="--overwrite")
        # The stand-in leaves the old run's checkpoint, as a start that dies at once does; the real one removes it.
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(all(call.endswith("--overwrite") for call in self.calls()[:2]), self.calls())
        run = RunDirectory(["--output", self.path("run"), "--overwrite"])
        self.assertTrue(run.words_of_start()[-1] == "--overwrite" and run.newest_step == 0)
        os.remove(self.path("run/checkpoints/step-000000500.safetensors"))
        os.remove(self.path("run/checkpoints/step-000000400.safetensors"))
        self.assertEqual((run.words_of_start()[2:], run.newest_step), (["--resume", "auto"], 3))

    def test_a_resumption_of_ones_own(self) -> None:
        self.launch([FINISH], words="--resume")
        self.assertTrue(self.calls()[0].endswith("--resume"), self.calls())

    def test_ranks_here(self) -> None:
        self.launch([FINISH], "--ranks-per-host", "2", where="")
        self.assertIn("--bind-to none --oversubscribe -n 2 ", self.calls()[0])
        self.assertNotIn("--host", self.calls()[0])

    def test_one_process_needs_no_mpirun(self) -> None:
        self.bytes("train", b"#!/bin/sh\n[ -e one ] && exit 0\ntouch one\nkill -9 $$\n")
        done = self.launch([FINISH], where="")
        self.assertEqual((done.returncode, self.calls()), (0, []), done.stderr)
        self.assertIn("launch: train: killed by SIGKILL; there is no checkpoint yet", done.stderr)

    def test_hosts_of_a_file(self) -> None:
        file = self.bytes("hosts", b"# ours\na slots=4\n\nb   # small\nc:3\nd slots=2 max_slots=4\n")
        self.assertEqual([(h.name, h.ranks) for h in hosts.read(file, 2)], [("a", 4), ("b", 2), ("c", 3), ("d", 2)])
        for text in (b"a b\n", b"a slots=x\n", b"", b"a\na\n", b"\xff"):
            self.bytes("hosts", text)
            with self.subTest(text=text), self.assertRaises((FormatError, UsageError)):
                hosts.read(file, 1)

    def test_the_words_of_mpich(self) -> None:
        self.bytes("mpirun", b"#!/bin/sh\necho 'HYDRA build details:'\n")
        words = job.mpirun_words([self.path("mpirun")], hosts.parse(["a", "b:3"], 1, "--hosts"), ["ssh", "-x"])
        self.assertEqual(words[1:], ["-launcher", "ssh", "-launcher-exec", "ssh", "-x", "-hosts", "a:1,b:3", "-n", "4"])

    def test_usage(self) -> None:
        train = self.path("train")
        for words, said in (
                (["--", train, "run"], "--output"), (["--", train, "evaluate", "r"], "expected train run"), ([], "found nothing"),
                (["--hosts", "a", "--hostfile", "f", "--", train, "run", "--output", "r"], "give one of them"),
                (["--hosts", "a,a", "--", train, "run", "--output", "r"], "a twice"),
                (["--hosts", "a:0", "--", train, "run", "--output", "r"], "'a:0'"),
                (["--restarts", "-1", "--", train, "run", "--output", "r"], "--restarts"),
                (["--hosts", A, "--mpirun", "./none", "--agent", self.path("agent"), "--", train, "run", "--output", "r"], "--mpirun"),
                (["--hosts", A, "--agent", "./none", "--", train, "run", "--output", "r"], "--agent")):
            with self.subTest(words=words):
                done = self.run_script("launch", *words)
                self.assertEqual(done.returncode, 64, done.stderr)
                self.assertIn(said, done.stderr)
        self.assert_refused(self.run_script("launch", "--", "./nowhere", "run", "--output", "r"), 69, "no program")


if __name__ == "__main__":
    unittest.main()
