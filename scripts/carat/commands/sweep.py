"""Trains settings × seeds, and tells mean ± standard deviation over the seeds of each setting, as a table.

  scripts/sweep settings.txt --output runs/sweep --seeds 1-5 -- --data my_data
  scripts/sweep settings.txt --output runs/sweep --seeds 1-5 --slurm -- --data my_data
  scripts/sweep settings.txt --output runs/sweep --seeds 1-5 --table          only the table of what is finished

A line of settings.txt is `name = options of train run`, but --seed; or it is JSON, {"name": "options"}:

  full model      =
  no contrast     = --contrastive-weight 0
  long queue      = --queue-size 32768 --queue-keys momentum

Options after -- go to all runs. Without --data they would train on generated data: that wants --yes. What will run is told
first, with an estimate from finished runs or, if there is none, from a few steps of the first. Run it again to continue with what is
unfinished: a run with a result.json is left alone, a stopped one resumed. With --slurm the runs become a job array of
scripts/slurm/train.sbatch; options of sbatch may follow in --sbatch "--time=02:00:00 --partition=batch". The table is
written to table.txt, table.md and table.csv in the output.
"""

import argparse
import concurrent.futures
import json
import math
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

from .. import durable, places, side_by_side, tables
from ..command_line import given, split_arguments
from ..errors import OutputError, one_line
from ..program import Parser, diagnostic, result
from ..side_by_side import duration

METRICS = "micro_f1,macro_f1,mAP,accuracy"
# Seconds that the steps for an estimate may take.
PROBE = 20


def fail(message, status=64):
    raise OutputError(message, status)


def read_settings(path):
    """Names and options, in the order of the file."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        fail(f"{path}: {error.strerror}", 66)
    except UnicodeDecodeError as error:
        fail(f"{path}: not UTF-8: {error}", 65)
    pairs = []
    if text.lstrip().startswith("{"):
        try:
            content = json.loads(text)
        except ValueError as error:
            fail(f"{path}: not JSON: {error}", 65)
        for name, options in content.items():
            if not isinstance(options, (str, list)):
                fail(f"{path}: expected options as a text or a list at `{name}`, found {options}", 65)
            if isinstance(options, str):
                options = shlex.split(options)
            pairs.append((name, [str(o) for o in options]))
    else:
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, equals, options = line.partition("=")
            if not equals:
                fail(f"{path}, line {number}: expected `name = options`, found `{line.strip()}`", 65)
            try:
                pairs.append((name.strip(), shlex.split(options)))
            except ValueError as error:
                fail(f"{path}, line {number}: {error} in `{line.strip()}`", 65)
    return pairs


def read_seeds(text):
    seeds = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not match:
            fail(f"seeds are numbers and ranges, such as 1-5 or 1,2,7, not {text}")
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    return seeds


def refuse_seeds(where, options):
    """--seeds names them; a run's directory and the table go by those, so another would be told as one that it is not."""
    word = given("--seed", options)
    if word:
        fail(f"{where} {word}: expected no seed in the options of runs, for each is trained with all of --seeds; take it "
             "out and say --seeds, such as --seeds 1-5")


def folder(name):
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", name).strip("-.") or "setting"


class Sweep:
    def __init__(self, settings, seeds, output, train, common):
        self.settings, self.seeds, self.output, self.train, self.common = settings, seeds, output, train, common
        self.stopped = threading.Event()
        self.running = {}
        # Of each run under way at a time: none in particular.
        self.places = queue.SimpleQueue()
        folders = {}
        for name, _ in settings:
            if folder(name) in folders:
                fail(f"the settings `{folders[folder(name)]}` and `{name}` would share the directory {folder(name)}", 65)
            folders[folder(name)] = name

    def directory(self, name, seed):
        return os.path.join(self.output, folder(name), f"seed-{seed}")

    def runs(self):
        return [(name, options, seed) for name, options in self.settings for seed in self.seeds]

    def unfinished(self):
        return [r for r in self.runs() if not os.path.exists(os.path.join(self.directory(r[0], r[2]), "result.json"))]

    def check_options(self):
        """Refuses to mix results: a directory keeps the options that its runs were started with."""
        for name, options in self.settings:
            path = os.path.join(self.output, folder(name), "options.json")
            now = {"name": name, "options": [*self.common, *options]}
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    before = json.load(file)
                if before != now:
                    fail(f"{os.path.dirname(path)} has runs of `{shlex.join(before['options'])}`, not of "
                         f"`{shlex.join(now['options'])}`; take another --output or remove it", 73)
            else:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as file:
                    json.dump(now, file)

    def arguments(self, run):
        name, options, seed = run
        return [self.directory(name, seed), *self.common, *options, "--seed", str(seed)]

    def divide(self, jobs):
        """Gives each of so many runs at a time cores of its own, and returns a line that says so."""
        found, told = side_by_side.places(self.train, jobs)
        for place in found:
            self.places.put(place)
        return told

    def train_one(self, run):
        """The program's status, that of Control-C for a run that was not started because of it."""
        if self.stopped.is_set():
            return 130
        place = None if self.places.empty() else self.places.get()
        directory, *options = self.arguments(run)
        if place:
            diagnostic(one_line(f"{run[0]}, seed {run[2]}: {place}"))
        started = side_by_side.Started(self.train, directory, options, place)
        self.running[run[0], run[2]] = started
        status = started.process.wait()
        del self.running[run[0], run[2]]
        if place:
            self.places.put(place)
        return status

    def train_all(self, jobs):
        """Returns the runs that failed with their statuses. A run that ends with 0 but no result was asked to stop."""
        todo, failed, began, ended = self.unfinished(), [], time.monotonic(), 0
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(self.train_one, run): run for run in todo}
            waiting = set(futures)
            while waiting:
                done, waiting = concurrent.futures.wait(waiting, 1, concurrent.futures.FIRST_COMPLETED)
                for future in done:
                    name, _, seed = futures[future]
                    status = future.result()
                    finished = status == 0 and os.path.exists(os.path.join(self.directory(name, seed), "result.json"))
                    ended += 1
                    self.clear()
                    diagnostic(one_line(f"{name}, seed {seed}: {'done' if finished else f'unfinished, status {status}'}"
                                        + self.time_left(began, ended, len(todo))))
                    if not finished:
                        failed.append((self.directory(name, seed) + ".log", status))
                self.show(began, ended, len(todo))
            self.clear()
        return failed

    def stop(self):
        self.stopped.set()
        for started in list(self.running.values()):
            started.process.terminate()

    def epochs(self):
        """Of each run under way its name, its epoch and the number of them, as its log tells."""
        for (name, seed), started in list(self.running.items()):
            yield f"{name}, seed {seed}", *started.epoch()

    def time_left(self, began, ended, count):
        share = ended + sum(epoch / epochs for _, epoch, epochs in self.epochs() if epochs)
        return f"; about {duration((time.monotonic() - began) * (count - share) / share)} left" if 0 < share < count else ""

    def show(self, began, ended, count):
        """A line on a terminal of what is running."""
        if sys.stderr.isatty():
            runs = "; ".join(name + (f": epoch {epoch} of {epochs} done" if epochs else "") for name, epoch, epochs in self.epochs())
            line = one_line(f"{ended} of {count} runs ended; {runs}{self.time_left(began, ended, count)}")
            width = os.get_terminal_size(2).columns or 80
            diagnostic(f"\r\x1b[K{line[:width - 1]}", end="")

    def clear(self):
        if sys.stderr.isatty():
            diagnostic("\r\x1b[K", end="")

    def plan(self, here, jobs):
        """Tells what will run, and how long that will take as far as it is known."""
        todo, everything = self.unfinished(), len(self.runs())
        without_data = [r for r in todo if not given("--data", (*self.common, *r[1]))]
        if everything > len(todo):
            diagnostic(f"{everything - len(todo)} of {everything} runs are finished")
        if not todo:
            return without_data
        diagnostic(one_line(f"{len(todo)} runs into {self.output}: {len({r[0] for r in todo})} settings, seeds "
                            f"{', '.join(str(n) for n in sorted({r[2] for r in todo}))}"
                            + (f"; options of all: {shlex.join(self.common)}" if self.common else "")))
        if here and jobs > 1:
            diagnostic(self.divide(jobs))
        for name in dict.fromkeys(r[0] for r in todo):
            options = next(r[1] for r in todo if r[0] == name)
            diagnostic(one_line(f"  {name}{': ' + shlex.join(options) if options else ''}"))
        seconds = [r["seconds_per_step"] * r["steps"] for name, _ in self.settings for r in self.results(name)
                   if "seconds_per_step" in r and "steps" in r]
        each = sum(seconds) / len(seconds) if seconds else self.probe(todo[0]) if here else None
        if each is None:
            diagnostic("how long a run takes is not known yet")
        else:
            diagnostic(f"about {duration(each)} of training steps a run, {duration(each * math.ceil(len(todo) / jobs))} in all")
        return without_data

    def probe(self, run):
        """Seconds of all the steps of a run, from its first ones, in a directory that goes again; None if they take too long."""
        name, options, seed = run
        diagnostic(f"taking the time of a few steps, at most {PROBE} s …")
        with tempfile.TemporaryDirectory() as directory:
            output, log = os.path.join(directory, "probe", "run"), os.path.join(directory, "log")
            os.makedirs(output)
            with open(log, "wb") as file:
                began = time.monotonic()
                process = subprocess.Popen(
                    [self.train, "run", *self.common, *options, "--seed", str(seed), "--output", output, "--resume", "auto"],
                    stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                rates = []
                while process.poll() is None and time.monotonic() - began < PROBE and len(rates) < 12 and not self.stopped.is_set():
                    time.sleep(0.1)
                    rates = step_rates(os.path.join(output, "metrics.jsonl"))
                took = time.monotonic() - began
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
            with open(log, "rb") as file:
                said = file.read().decode("utf-8", "replace")
        if self.stopped.is_set():
            fail("interrupted; nothing was started", 130)
        if process.returncode > 0:
            fail(f"a run of `{name}` fails with status {process.returncode}: {(said.strip().splitlines() or ['no word'])[-1]}",
                 process.returncode)
        if process.returncode == 0:
            return took
        shape = re.search(r"^run: (\d+) epochs of (\d+) steps, batch (\d+)", said, re.MULTILINE)
        if not shape or len(rates) < 2:
            return None
        epochs, steps, batch = (int(n) for n in shape.groups())
        return epochs * steps * sum(batch / r for r in rates[1:]) / len(rates[1:])     # the first step fills caches

    def submit(self, sbatch_options, dry_run):
        todo = self.unfinished()
        if not todo:
            return 0
        path = os.path.abspath(os.path.join(self.output, "jobs.txt"))
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(shlex.join(self.arguments(run)) + "\n" for run in todo)
        checkout = places.scripts()
        if checkout is None:
            fail("--slurm needs the batch scripts of a checkout: start scripts/sweep there", 69)
        scripts = os.path.join(checkout, "slurm")
        command = ["sbatch", f"--array=1-{len(todo)}", *sbatch_options, os.path.join(scripts, "train.sbatch"), "--list", path]
        result(f"{len(todo)} runs in {path}\n{shlex.join(command)}")
        if dry_run:
            return 0
        try:
            # Jobs run in the directory of this command, as runs without Slurm do.
            environment = {**os.environ, "CARAT_TRAIN": os.path.abspath(self.train), "CARAT_SLURM_SCRIPTS": scripts}
            return subprocess.run(command, env=environment).returncode
        except FileNotFoundError:
            fail("no sbatch here; --slurm-print only shows the command", 69)

    def results(self, name):
        found = []
        for seed in self.seeds:
            try:
                with open(os.path.join(self.directory(name, seed), "result.json"), encoding="utf-8") as file:
                    found.append(json.load(file))
            except FileNotFoundError:
                pass
        return found


def step_rates(path):
    """Samples per second of each step that a run's metrics.jsonl tells of."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return []
    return [r["samples_per_second"] for r in map(json.loads, lines) if r.get("event") == "step"]


def metric(result, path):
    """`micro_f1` is the test split's; `valid.mAP` or `seconds_per_step` name others."""
    value = result
    for part in (path if "." in path or path in result else f"test.{path}").split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return float(value) if isinstance(value, (int, float)) else None


def mean_and_deviation(values):
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def write_tables(sweep, metrics):
    """The deviation is that of a sample: it divides by the seeds less one."""
    shown, exact = [["setting", "seeds", *metrics]], [["setting", "seeds"]]
    for m in metrics:
        exact[0] += [m, m + " sd"]
    for name, _ in sweep.settings:
        results = sweep.results(name)
        row, exact_row = [one_line(name), f"{len(results)}/{len(sweep.seeds)}"], [name, len(results)]
        for m in metrics:
            values = [v for v in (metric(r, m) for r in results) if v is not None]
            mean, deviation = mean_and_deviation(values) if values else (None, None)
            row.append("" if mean is None else f"{mean:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}"))
            exact_row += ["" if v is None else repr(v) for v in (mean, deviation)]
        shown.append(row)
        exact.append(exact_row)
    text = tables.as_text(shown)
    for suffix, content in (("txt", text), ("md", tables.as_markdown(shown)), ("csv", tables.as_csv(exact))):
        durable.write(os.path.join(sweep.output, f"table.{suffix}"), content)
    result(text.rstrip("\n"))


def add_options(parser, output):
    parser.add_argument("--output", default=output, help=f"directory of all runs and the table ({output})")
    parser.add_argument("--seeds", default="1-3", help="such as 1-5 or 1,2,7 (1-3)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on cores of its own: whole NUMA nodes while "
                        "there are enough; results do not depend on it (1)")
    parser.add_argument("--metrics", default=METRICS, help=f"of result.json's test, or valid.mAP, seconds_per_step ({METRICS})")
    parser.add_argument("--yes", action="store_true", help="train on generated data if there is no --data after --")
    parser.add_argument("--table", action="store_true", help="train nothing, write the table")
    parser.add_argument("--slurm", action="store_true", help="submit what is unfinished as a job array")
    parser.add_argument("--slurm-print", action="store_true", help="write and show what --slurm would submit")
    parser.add_argument("--sbatch", default="", help="options of sbatch, in one word")
    parser.add_argument("--train", default=places.train(), help="the program")


def run(settings, arguments, common):
    if not settings:
        fail("no settings", 65)
    if arguments.jobs < 1:
        fail("--jobs is 1 or more")
    refuse_seeds("options after -- have", common)
    for name, options in settings:
        refuse_seeds(f"setting `{name}` has", options)
    sweep = Sweep(settings, read_seeds(arguments.seeds), os.path.abspath(arguments.output), arguments.train, common)
    # Control-C reaches the runs too, which write a checkpoint: wait for them, start no others. SIGTERM is passed on.
    signal.signal(signal.SIGINT, lambda *_: sweep.stopped.set())
    signal.signal(signal.SIGTERM, lambda *_: sweep.stop())
    failed = []
    if not arguments.table:
        side_by_side.check_program(arguments.train)
        without_data = sweep.plan(not (arguments.slurm or arguments.slurm_print), arguments.jobs)
        if without_data and not arguments.yes:
            fail(f"{len(without_data)} of these runs have no --data and would train on generated data: give -- --data DIRECTORY, "
                 "or --yes if that is meant")
        try:
            os.makedirs(sweep.output, exist_ok=True)
            sweep.check_options()
        except OSError as error:
            fail(f"{sweep.output}: can't create it: {error.strerror}", 73)
        if arguments.slurm or arguments.slurm_print:
            return sweep.submit(shlex.split(arguments.sbatch), arguments.slurm_print)
        failed = sweep.train_all(arguments.jobs)
    elif not os.path.isdir(sweep.output):
        fail(f"no directory {sweep.output}", 66)
    write_tables(sweep, arguments.metrics.split(","))
    for log, status in failed:
        diagnostic(one_line(f"unfinished, status {status}: {log}"))
    return 1 if failed else 0


def main(_):
    own, common = split_arguments()
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", help="the file")
    add_options(parser, "runs/sweep")
    arguments = parser.parse_args(own)
    return run(read_settings(arguments.settings), arguments, common)
