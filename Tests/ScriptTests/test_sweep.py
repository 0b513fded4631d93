"""scripts/sweep and scripts/ablations, with a stub in place of the trainer."""
import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Its micro-F1 is the seed / 10, less the contrastive weight / 100. It records its calls; seed 3 stops at its first start.
STUB = """#!{python}
import json, os, sys
words = sys.argv[1:]
if words == ["run", "--help"]:
    print("{help}")
    sys.exit(0)
if words[:2] == ["topology", "--json"]:
    print(json.dumps({{"nodes": [{{"cpus": [0, 1]}}], "cores": {cores}, "cpu_limit": {limit}}}))
    sys.exit(0)
options = dict(zip(words[1::2], words[2::2]))
output = options["--output"]
assert words[0] == "run" and options["--resume"] == "auto"
if "/probe/" in output:
    sys.exit({probe})
with open(os.path.join(os.path.dirname(os.path.dirname(output)), "calls"), "a") as calls:
    calls.write(" ".join(words) + "\\n")
with open(output + "/cpus", "w") as file:
    json.dump(sorted(os.sched_getaffinity(0)), file)
seed = int(options["--seed"])
if seed == 3 and not os.path.exists(output + "/checkpoint"):
    open(output + "/checkpoint", "w").close()
    sys.exit(0)
if seed == 4:
    sys.exit(65)
value = seed / 10 - float(options.get("--contrastive-weight", 0)) / 100
with open(output + "/result.json", "w") as file:
    json.dump({{"test": {{"micro_f1": value, "mAP": 0.5}}, "steps": 7}}, file)
"""


class SweepTests(unittest.TestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory, self.yes = directory.name, True
        self.stub()
        self.write("settings.txt", "# a comment\nfull model =\n\nheavy = --contrastive-weight 2\n")

    def path(self, *names: str) -> str:
        return os.path.join(self.directory, *names)

    def write(self, name: str, text: str) -> str:
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def stub(self, help_text: str = "--seed", probe: int = 0, limit: str = "None") -> None:
        cores = [[cpu] for cpu in sorted(os.sched_getaffinity(0))]
        os.chmod(self.write("train", STUB.format(python=sys.executable, help=help_text, probe=probe, cores=cores, limit=limit)), 0o755)

    def sweep(self, *arguments: str, settings: str = "settings.txt") -> "subprocess.CompletedProcess[str]":
        return self.run_script("sweep", self.path(settings), *arguments)

    def run_script(self, script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        at = arguments.index("--") if "--" in arguments else len(arguments)
        own = ["--train", self.path("train"), "--output", self.path("out")] + ["--yes"] * self.yes
        return subprocess.run([sys.executable, os.path.join(ROOT, "scripts", script), *arguments[:at], *own, *arguments[at:]],
                              capture_output=True, text=True, cwd=self.directory)

    def calls(self) -> list:
        with open(self.path("out", "calls")) as file:
            return file.read().splitlines()

    def table(self) -> list:
        with open(self.path("out", "table.csv"), newline="") as file:
            return list(csv.reader(file))

    def test_table(self) -> None:
        done = self.sweep("--seeds", "1-2", "--metrics", "micro_f1,mAP,steps,valid.mAP", "--", "--epochs", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.calls()), 4)
        self.assertTrue(all("--epochs 2" in call for call in self.calls()))
        self.assertIn("0.1500 ± 0.0707", done.stdout)
        with open(self.path("out", "table.md")) as file:
            self.assertIn("| heavy | 2/2 | 0.1300 ± 0.0707 | 0.5000 ± 0.0000 | 7.0000 ± 0.0000 |  |", file.read())
        head, full, heavy = self.table()
        self.assertEqual(head[:4], ["setting", "seeds", "micro_f1", "micro_f1 sd"])
        self.assertAlmostEqual(float(full[2]), 0.15)
        self.assertAlmostEqual(float(full[3]), 0.5 ** 0.5 / 10)
        self.assertAlmostEqual(float(heavy[2]), 0.13)
        self.assertEqual(heavy[-2:], ["", ""])

    def test_resumption(self) -> None:
        """A stopped run is unfinished and told as such; the second time it alone is started."""
        done = self.sweep("--seeds", "1,3", "--jobs", "2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("seed-3.log", done.stderr)
        self.assertIn("1/2", done.stdout)
        done = self.sweep("--seeds", "1,3", "--jobs", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 of 4 runs are finished", done.stderr)
        self.assertEqual(len(self.calls()), 6)
        self.assertIn("2/2", done.stdout)
        # --table starts nothing, and one seed has no deviation.
        done = self.sweep("--seeds", "3", "--table")
        self.assertIn("0.3000", done.stdout)
        self.assertNotIn("±", done.stdout)
        self.assertEqual(len(self.calls()), 6)

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one CPU")
    def test_each_run_has_cores_of_its_own(self) -> None:
        done = self.sweep("--seeds", "1-2", "--jobs", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        sets = []
        for name in ("full-model", "heavy"):
            for seed in (1, 2):
                with open(self.path("out", name, f"seed-{seed}", "cpus")) as file:
                    sets.append(tuple(json.load(file)))
        self.assertEqual(len(set(sets)), 2)
        self.assertEqual({cpu for own in set(sets) for cpu in own}, os.sched_getaffinity(0))
        self.assertIn("2 at a time, on CPUs ", done.stderr)
        self.assertEqual(done.stderr.count(": on CPUs "), 4)
        self.assertFalse(any("--workers" in call for call in self.calls()))

    @unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "one CPU")
    def test_a_limit_of_time_is_shared(self) -> None:
        self.stub(limit="2.5")
        done = self.sweep("--seeds", "1-2", "--jobs", "2", "--", "--workers", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 worker each by a limit of CPU time (2.5 CPUs)", done.stderr)
        self.assertTrue(all(call.count("--workers") == 1 for call in self.calls()))

    def test_more_runs_at_a_time_than_cores(self) -> None:
        done = self.sweep("--seeds", "1-2", "--jobs", "5000")
        self.assertEqual(done.returncode, 64)
        self.assertIn("expected a core for each run at a time, found", done.stderr)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_failure(self) -> None:
        done = self.sweep("--seeds", "1,4")
        self.assertEqual(done.returncode, 1)
        self.assertIn("status 65", done.stderr)
        self.assertIn("1/2", done.stdout)

    def test_generated_data_wants_a_yes(self) -> None:
        self.yes = False
        done = self.sweep("--seeds", "1-2", "--", "--epochs", "2")
        self.assertEqual(done.returncode, 64)
        for words in ("4 runs into", "2 settings, seeds 1, 2; options of all: --epochs 2", "heavy: --contrastive-weight 2",
                      "of training steps a run", "4 of these runs have no --data"):
            self.assertIn(words, done.stderr)
        self.assertFalse(os.path.exists(self.path("out")))
        done = self.sweep("--seeds", "1-2", "--", "--data", "here")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("full model, seed 1: done; about", done.stderr)
        self.write("settings.txt", "a = --data here\nb =\n")
        self.assertIn("sweep: 1 of these runs have no --data", self.sweep("--seeds", "5").stderr)
        self.yes = True
        self.assertEqual(self.sweep("--seeds", "5").returncode, 0)

    def test_what_would_fail_is_told_before_it_starts(self) -> None:
        self.stub(probe=65)
        done = self.sweep("--seeds", "1")
        self.assertEqual(done.returncode, 65)
        self.assertIn("a run of `full model` fails with status 65", done.stderr)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_control_c(self) -> None:
        """The run ends in its own way, and no other is started."""
        self.write("train", f"#!{sys.executable}\nimport os, signal, sys, time\n"
                   "if '/probe/' in ' '.join(sys.argv): sys.exit(0)\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(0.5)\nsys.exit(130)\n")
        done = self.sweep("--seeds", "1-2")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("seed 1: unfinished, status 130") + done.stderr.count("seed 2: unfinished, status 130"), 4)
        logs = [name for _, _, names in os.walk(self.path("out")) for name in names if name.endswith(".log")]
        self.assertEqual(logs, ["seed-1.log"])

    def test_changed_options_are_refused(self) -> None:
        self.assertEqual(self.sweep("--seeds", "1").returncode, 0)
        done = self.sweep("--seeds", "1", "--", "--epochs", "3")
        self.assertEqual(done.returncode, 73)
        self.assertIn("--epochs 3", done.stderr)

    def test_json(self) -> None:
        self.write("settings.json", json.dumps({"a": "--contrastive-weight 1", "b": ["--contrastive-weight", 3]}))
        self.assertEqual(self.sweep("--seeds", "1", settings="settings.json").returncode, 0)
        self.assertEqual([row[2] for row in self.table()[1:]], [repr(0.1 - 0.01), repr(0.1 - 0.03)])

    def test_wrong_settings(self) -> None:
        for text, words in (("no sign\n", "line 1"), ("{", "not JSON"), ("a b = x\na-b = y\n", "share the directory"), ("", "no settings")):
            self.write("settings.txt", text)
            done = self.sweep()
            self.assertEqual(done.returncode, 65, text)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn(words, done.stderr)
        self.write("settings.txt", "a =\n")
        self.assertEqual(self.sweep("--seeds", "one").returncode, 64)

    def test_a_seed_in_a_setting_is_refused(self) -> None:
        for setting, common in (("--seed 7", ()), ("--epochs 2 --seed=7", ()), ("", ("--", "--seed", "7"))):
            self.write("settings.txt", f"plain =\nother = {setting}\n")
            done = self.sweep("--seeds", "1", *common)
            self.assertEqual(done.returncode, 64, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn("options after --" if common else "setting `other` has --seed", done.stderr)
            self.assertIn("--seeds 1-5", done.stderr)
            self.assertFalse(os.path.exists(self.path("out")))
        done = self.run_script("ablations", "--seeds", "1", "--", "--seed", "7")
        self.assertEqual(done.returncode, 64, done.stderr)

    def test_job_array(self) -> None:
        """The lines of jobs.txt are what a shell reads back as arguments; only unfinished runs are in it."""
        self.assertEqual(self.sweep("--seeds", "1").returncode, 0)
        done = self.sweep("--seeds", "1-2", "--slurm-print", "--sbatch", "--time=10 --nodes=2")
        self.assertEqual(done.returncode, 0, done.stderr)
        jobs = self.path("out", "jobs.txt")
        self.assertIn(f"sbatch --array=1-2 --time=10 --nodes=2 {ROOT}/scripts/slurm/train.sbatch --list {jobs}", done.stdout)
        with open(jobs) as file:
            self.assertEqual(file.read().splitlines(), [
                self.path("out", "full-model", "seed-2") + " --seed 2",
                self.path("out", "heavy", "seed-2") + " --contrastive-weight 2 --seed 2"])

    def test_ablations(self) -> None:
        done = self.run_script("ablations", "--list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("without contrastive loss = --contrastive-weight 0\n", done.stdout)
        self.assertNotIn("modalities", done.stdout)
        self.stub("--modalities <name,…>")
        self.assertIn("without visual = --modalities text,audio\n", self.run_script("ablations", "--list").stdout)
        done = self.run_script("ablations", "--seeds", "1-2", "--", "--epochs", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.table()), 15)

    def test_ablations_of_other_modalities(self) -> None:
        self.stub("--modalities <name,…>")
        os.mkdir(self.path("data"))
        header = json.dumps({"__metadata__": {"modalities": "eeg, gaze\u001b[31m"}}).encode()
        with open(self.path("data", "train.safetensors"), "wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
        listed = self.run_script("ablations", "--list", "--", "--data", self.path("data"), "--layers=2,1").stdout
        self.assertIn("without eeg = --modalities 'gaze\\u{1b}[31m' --layers 1\n", listed)
        self.assertTrue(listed.endswith(" = --modalities eeg --layers 2\n"))
        self.assertNotIn("visual", listed)
        listed = self.run_script("ablations", "--list", "--", "--data", "none", "--modalities", "a,b,c,d").stdout
        self.assertIn("without c = --modalities a,b,d\n", listed)
        self.assertNotIn("--modalities", self.run_script("ablations", "--list", "--", "--modalities", "a").stdout)
        done = self.run_script("ablations", "--list", "--", "--data", "none")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (66, 1))


if __name__ == "__main__":
    unittest.main()
