"""scripts/slurm/train.sbatch, with stand-ins for Slurm's commands: when it starts a run again, and when it queues its job again."""
import json
import os
import subprocess
import sys
import unittest
from typing import Any, List, Tuple

from support import ROOT, FileTestCase

SRUN = """#!{python}
import json, os, sys
here = {directory!r}
if "--overlap" in sys.argv:
    node = next(w for w in sys.argv if w.startswith("--nodelist="))[len("--nodelist="):]
    sys.exit(os.path.exists(here + "/down-" + node))
with open(here + "/plan") as file:
    plan = json.load(file)
now = plan[0]
with open(here + "/plan", "w") as file:
    json.dump(plan[1:] or plan, file)
with open(here + "/calls", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
if now.get("step"):
    os.makedirs(here + "/run/checkpoints", exist_ok=True)
    open(here + "/run/checkpoints/step-%09d.safetensors" % now["step"], "w").close()
if now.get("finish"):
    open(here + "/run/result.json", "w").close()
print(now.get("say", ""), file=sys.stderr)
sys.exit(now["status"])
"""
FINISH = {"step": 500, "finish": True, "status": 0}


class BatchTests(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        os.mkdir(self.path("bin"))
        for name, text in (("srun", SRUN), ("squeue", "#!/bin/sh\necho n1,n2\n"), ("train", "#!/bin/sh\n"),
                           ("scontrol", '#!/bin/sh\n[ "$1" = show ] && echo "$3" | tr , "\\n" || echo "$@" >> {directory}/requeued\n')):
            self.bytes(f"bin/{name}", text.replace("{python}", sys.executable).replace("{directory!r}", repr(self.directory))
                       .replace("{directory}", self.directory).encode())
            os.chmod(self.path(f"bin/{name}"), 0o755)

    def submit(self, plan: List[Any]) -> Tuple["subprocess.CompletedProcess[str]", List[str], bool]:
        """The script's end, the calls of srun, and whether the job was queued again."""
        self.bytes("plan", json.dumps(plan).encode())
        job = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_NUM_NODES": "2", "SLURM_SUBMIT_DIR": ROOT, "CARAT_LAUNCH": "srun",
               "CARAT_TRAIN": self.path("bin/train"), "CARAT_RESTARTS": "1", "PATH": self.path("bin") + ":" + os.environ["PATH"]}
        done = subprocess.run(["bash", os.path.join(ROOT, "scripts/slurm/train.sbatch"), self.path("run")], text=True,
                              capture_output=True, env={**os.environ, **job})
        with open(self.path("calls")) as file:
            return done, file.read().splitlines(), os.path.exists(self.path("requeued"))

    def test_goes_on_with_the_nodes_that_answer(self) -> None:
        self.bytes("down-n2", b"")
        done, calls, requeued = self.submit([{"step": 100, "status": 137}, FINISH])
        self.assertEqual((done.returncode, len(calls), requeued), (0, 2, False), done.stdout + done.stderr)
        self.assertNotIn("--nodelist", calls[0])
        self.assertIn("--nodes=1 --ntasks=2 --nodelist=n1 ", calls[1])
        self.assertIn("ended with status 137; restart 1 of 1, from step-000000100.safetensors, on n1", done.stdout)

    def test_a_step_that_did_not_start_is_no_end(self) -> None:
        done, calls, requeued = self.submit([{"status": 0}, FINISH])
        self.assertEqual((done.returncode, len(calls), requeued), (0, 2, False), done.stdout + done.stderr)

    def test_errors_that_would_come_again(self) -> None:
        said = "srun: error: n1: task 0: Exited with exit code 65\nsrun: error: n2: task 2: Terminated"
        done, calls, requeued = self.submit([{"step": 100, "status": 143, "say": said}])
        self.assertEqual((done.returncode, len(calls), requeued), (65, 1, False), done.stdout + done.stderr)
        self.assertIn(said, done.stderr)

    def test_gives_up_without_a_checkpoint(self) -> None:
        done, calls, requeued = self.submit([{"status": 137}])
        self.assertEqual((done.returncode, len(calls), requeued), (137, 2, False), done.stdout + done.stderr)
        self.assertIn("ended with status 137, without a checkpoint since the start; not queued again", done.stdout)

    def test_queues_again_what_got_on(self) -> None:
        done, calls, requeued = self.submit([{"step": 100, "status": 76}])
        self.assertEqual((len(calls), requeued), (2, True), done.stdout + done.stderr)

    def test_stopped_by_someone_else(self) -> None:
        done, calls, requeued = self.submit([{"step": 100, "status": 85}])
        self.assertEqual((done.returncode, len(calls), requeued), (85, 1, False), done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
