"""Which of the programs beside it `launch` starts, and that no rank runs alone without a word."""
import os
import shutil
import subprocess
import tempfile
import unittest
from typing import Dict

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMPILER = shutil.which("clang") or shutil.which("cc")


def has_avx2() -> bool:
    try:
        with open("/proc/cpuinfo") as file:
            return " avx2 " in file.read()
    except OSError:
        return False


@unittest.skipUnless(COMPILER and os.uname().machine == "x86_64" and has_avx2(), "no C compiler, or no x86-64 with AVX2")
class LaunchTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.path = cls.directory.name
        for name in ("bin", "libexec/carat", "whole", "broken"):
            os.makedirs(os.path.join(cls.path, name))
        subprocess.run([str(COMPILER), "-O1", "-Wall", "-Wextra", "-Werror", os.path.join(ROOT, "Sources/launch/main.c"), "-o",
                        os.path.join(cls.path, "bin/train")], check=True)
        # A library that can be loaded, and one that can't: the loader finds them before the machine's own.
        subprocess.run([str(COMPILER), "-shared", "-x", "c", os.devnull, "-o", os.path.join(cls.path, "whole/libmpi.so.40")], check=True)
        with open(os.path.join(cls.path, "broken/libmpi.so.40"), "wb") as file:
            file.write(b"not a library")

    def setUp(self) -> None:
        for name in ("train-x86-64-v3", "train-x86-64-v3-openmpi"):
            file = os.path.join(self.path, "libexec/carat", name)
            with open(file, "w") as program:
                program.write(f"#!/bin/sh\necho {name} \"$@\"\n")
            os.chmod(file, 0o755)

    def launch(self, library: str = "whole", **variables: str) -> "subprocess.CompletedProcess[str]":
        environment: Dict[str, str] = {key: value for key, value in os.environ.items()
                                       if not key.startswith(("OMPI_", "PMI_", "PMIX_", "SLURM_"))}
        environment.update(CARAT_LEVEL="x86-64-v3", LD_LIBRARY_PATH=os.path.join(self.path, library), **variables)
        return subprocess.run([os.path.join(self.path, "bin/train"), "a b", "c"], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)

    def test_the_program_for_ranks_where_a_launcher_tells_of_several(self) -> None:
        for variables, program in (
            ({}, "train-x86-64-v3"),
            ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"}, "train-x86-64-v3"),
            ({"OMPI_COMM_WORLD_SIZE": "2"}, "train-x86-64-v3"),
            ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, "train-x86-64-v3-openmpi"),
            ({"PMI_RANK": "0", "PMI_SIZE": "2"}, "train-x86-64-v3-openmpi"),
            ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "2"}, "train-x86-64-v3-openmpi"),
            ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, "train-x86-64-v3-openmpi"),
            ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, "train-x86-64-v3"),
        ):
            with self.subTest(variables=variables):
                ended = self.launch(**variables)
                self.assertEqual((ended.returncode, ended.stdout, ended.stderr), (0, f"{program} a b c\n", ""))

    def test_a_rank_without_open_mpi_says_what_is_missing(self) -> None:
        for rank, size in (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
            with self.subTest(rank=rank):
                ended = self.launch("broken", **{rank: "0", size: "3"})
                self.assertEqual((ended.returncode, ended.stdout), (69, ""))
                self.assertEqual(len(ended.stderr.splitlines()), 1)
                for words in ("one of 3 processes", "libmpi.so.40", "openmpi-bin", f"env -u {size}"):
                    self.assertIn(words, ended.stderr)
        # One process needs no Open MPI.
        self.assertEqual(self.launch("broken").returncode, 0)

    def test_the_variables_are_those_that_the_program_knows(self) -> None:
        with open(os.path.join(ROOT, "Sources/Parallel/Launcher.swift")) as swift, open(os.path.join(ROOT, "Sources/launch/main.c")) as c:
            known, told = swift.read(), c.read()
        pairs = known[known.index("let variables = ["):].split("]")[0].replace("(", "{").replace(")", "}")
        listed = told[told.index("variables[][2] = {"):].split("};")[0]
        pair = "".join(pairs[pairs.index("["):].split())
        self.assertEqual(pair.strip("[,"), "".join(listed[listed.index("= {") + 3:].split()).strip(","))

    def test_without_the_program_for_ranks_the_other_one_refuses(self) -> None:
        os.remove(os.path.join(self.path, "libexec/carat/train-x86-64-v3-openmpi"))
        ended = self.launch("broken", PMI_RANK="1", PMI_SIZE="2")
        self.assertEqual(ended.stdout, "train-x86-64-v3 a b c\n")
