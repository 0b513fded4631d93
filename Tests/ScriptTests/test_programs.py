"""What all Python programs have in common: streams that are closed, full or broken, locales, packages, help and usage."""
import os
import subprocess
import sys
import unittest

from support import SCRIPTS, FileTestCase, aligned

PROGRAMS = ("convert", "weights", "sweep", "search", "ablations", "fit-scaling", "plot-scaling", "benchmark", "report", "launch",
            "plot-trace")


class StreamTests(FileTestCase):
    def shell(self, words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A shell with `$run`, which starts a program of scripts/."""
        return subprocess.run(["bash", "-c", f"run() {{ {sys.executable} {SCRIPTS}/$1 \"${{@:2}}\"; }}; {words}"], text=True,
                              capture_output=True, cwd=self.directory, env={**os.environ, **environment}, encoding="utf-8")

    def setUp(self) -> None:
        super().setUp()
        content, self.labels = aligned(self.random, {"train": 3, "valid": 2, "test": 2}, steps=2)
        self.pickle("a.pkl", content)
        self.bytes("settings.txt", "größer = --epochs 1\n".encode())
        with open(self.path("train"), "w") as file:
            file.write("#!/bin/sh\nexit 0\n")
        os.chmod(self.path("train"), 0o755)
        os.mkdir(self.path("runs"))

    # A command that does something and tells its result, and one that fails, of each kind of program.
    GOOD = ("convert --help", "weights --help", "benchmark --help", "plot-scaling --help", "fit-scaling --help",
            "convert a.pkl -o out --force", "ablations --list --train ./train",
            "sweep settings.txt --output runs --table --train ./train")
    BAD = {"convert none -o out": 65, "weights none w.pt": 65, "sweep none": 66, "ablations --train none": 66, "convert": 64,
           "report none -o r.html": 65, "search --output out": 64,
           "fit-scaling none": 65, "weights a.pkl": 64, "sweep settings.txt --seeds x --train ./train": 64}

    def test_a_result_that_cannot_be_written(self) -> None:
        for command in self.GOOD:
            for stream in (">&-", ">/dev/full", "| { exec 0<&-; sleep 0.2; }"):
                with self.subTest(command=command, stream=stream):
                    # A pipe without a reader breaks once this has ended.
                    before = "sleep 0.1; " if "|" in stream else ""
                    done = self.shell(f"set -o pipefail; ({before}run {command}) {stream}")
                    self.assertEqual(done.returncode, 74, done.stderr)
                    self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                    self.assertIn(f"{command.split()[0]}: the standard output can't be written", done.stderr)

    def test_a_diagnostic_that_cannot_be_written(self) -> None:
        for command, status in {**dict.fromkeys(self.GOOD[5:], 0), **self.BAD}.items():
            for stream in ("2>&-", "2>/dev/full", "<&- >&- 2>&-" if status else "<&- 2>&-"):
                with self.subTest(command=command, stream=stream):
                    done = self.shell(f"run {command} {stream}")
                    self.assertEqual((done.returncode, done.stderr), (status, ""))

    def test_closed_streams_are_not_the_data(self) -> None:
        self.assertEqual(self.shell("run convert a.pkl -o out <&- >&- 2>&-").returncode, 74)
        done = self.shell("run convert a.pkl -o again --json")
        self.assertEqual(done.returncode, 0, done.stderr)
        for split in self.labels:
            with open(self.path(f"out/{split}.safetensors"), "rb") as a, open(self.path(f"again/{split}.safetensors"), "rb") as b:
                self.assertEqual(a.read(), b.read())

    def test_other_locales(self) -> None:
        for environment in ({"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
                            {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}):
            for command in self.GOOD:
                with self.subTest(environment=environment, command=command):
                    done = self.shell(f"run {command} | cat -v; exit ${{PIPESTATUS[0]}}", **environment)
                    self.assertEqual((done.returncode, "Traceback" in done.stderr), (0, False), done.stderr)
            done = self.shell("run convert $'\\xff\\xfe' größer -o out", **environment)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (65, 1), done.stderr)


class UsageTests(FileTestCase):
    def test_usage_names_its_own_command(self) -> None:
        for program in PROGRAMS:
            with self.subTest(program=program):
                done = self.run_script(program, "--no-such-option")
                self.assert_refused(done, 64, f"{program}: ", f"see {program} --help")

    def test_help_needs_no_package(self) -> None:
        """`-S` leaves out what is installed."""
        for program in PROGRAMS:
            with self.subTest(program=program):
                done = subprocess.run([sys.executable, "-S", "-E", os.path.join(SCRIPTS, program), "--help"],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"usage: {program}", done.stdout)

    def test_stand_ins_for_files(self) -> None:
        pointer = self.bytes("a.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n")
        page = self.bytes("b.pt", b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><title>Google Drive - Virus scan warning</title>")
        for name, words in ((pointer, "Git LFS"), (page, "a web page")):
            self.assert_refused(self.run_script("weights", name, self.path("out.safetensors")), 65, words)
            self.assert_refused(self.run_script("convert", name, "-o", self.path("out")), 65, words)
            os.makedirs(self.path("csd"), exist_ok=True)
            os.replace(name, self.path("csd/text.csd"))
            with open(self.path("csd/text.csd"), "rb") as file:
                table = self.bytes("labels.csv", file.read())
            content, _ = aligned(self.random, {"train": 3, "valid": 2, "test": 2}, steps=2)
            good = self.pickle("good.pkl", content)
            self.assert_refused(self.run_script("convert", good, "--labels", table, "-o", self.path("out")), 65, words)
            self.assert_refused(self.run_script("convert", self.path("csd"), "--split", "0.8,0.1,0.1", "-o", self.path("out")), 65, words)

    def test_names_do_not_drive_a_terminal(self) -> None:
        content, _ = aligned(self.random, {"train": 3, "valid": 2, "test": 2}, steps=2)
        content["dict"]["tgt"] = {"\x1b[31m" + n if i > 3 else n: i for n, i in content["dict"]["tgt"].items()}
        done = self.run_script("convert", self.pickle("a.pkl", content), "-o", self.path("out"))
        self.assertNotIn("\x1b", done.stdout + done.stderr)


class PythonTests(FileTestCase):
    """scripts/python, with stand-ins for python3 and pip."""

    def python(self, *words: str, path: str = "") -> "subprocess.Popen[str]":
        return subprocess.Popen([os.path.join(SCRIPTS, "python"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "CARAT_VENV": self.path("venv"), "PATH": (path or self.path("bin")) + ":/usr/bin:/bin",
                                     "LOG": self.path("log"), "HAS": self.path("has")})

    def stub(self, pip: str) -> None:
        """A python3 that has the packages once a file is there, and makes virtual environments of itself."""
        os.makedirs(self.path("bin"), exist_ok=True)
        with open(self.path("bin/python3"), "w") as file:
            file.write('#!/bin/bash\nif [ "$1" = -c ]; then [ -e "$HAS" ]; exit; fi\n'
                       'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit; fi\n'
                       f'if [ "$2" = pip ]; then echo "$@" >> "$LOG"; {pip}; exit; fi\necho "$0 $*"\n')
        os.chmod(self.path("bin/python3"), 0o755)

    def test_an_interpreter_that_has_all_is_used(self) -> None:
        self.stub("exit 1")
        self.bytes("has", b"")
        out, err = self.python("program", "a b").communicate()
        self.assertEqual((out, err), (f"{self.path('bin/python3')} program a b\n", ""))
        self.assertFalse(os.path.exists(self.path("venv")))

    @unittest.skipIf(subprocess.run(["/usr/bin/python3", "-c", "import safetensors"], capture_output=True).returncode == 0,
                     "the system's Python has the packages")
    def test_two_at_once_install_once(self) -> None:
        self.stub('sleep 1; touch "$HAS"')
        started = [self.python("--tests", "program") for _ in range(2)]
        for process in started:
            out, err = process.communicate()
            self.assertEqual(process.returncode, 0, err)
            self.assertIn("program\n", out)
        with open(self.path("log")) as file:
            calls = file.read().splitlines()
        self.assertEqual(len(calls), 1)
        self.assertTrue(calls[0].endswith("numpy h5py safetensors pandas scikit-learn matplotlib optuna nbclient ipykernel tensorboard"), calls)

    @unittest.skipIf(subprocess.run(["/usr/bin/python3", "-c", "import safetensors"], capture_output=True).returncode == 0,
                     "the system's Python has the packages")
    def test_without_a_network(self) -> None:
        self.stub('echo "WARNING: Retrying" >&2; echo "ERROR: No matching distribution found for numpy" >&2; exit 1')
        process = self.python("program")
        out, err = process.communicate()
        self.assertEqual((process.returncode, out), (69, ""))
        self.assertEqual(len(err.splitlines()), 2, err)                      # what it does, and why it could not
        self.assertIn("No matching distribution found for numpy; is there a network", err)


if __name__ == "__main__":
    unittest.main()
