"""Runs of the trainer: started, followed, judged and used."""
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Dict, List, Mapping, Optional, Union

from . import places
from .data import Dataset
from .errors import FormatError, ProgramError, one_line, program_error

Path = Union[str, "os.PathLike[str]"]


class Run:
    """A run's directory: what `train run --output` wrote, finished or not.

    Attributes:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = os.path.abspath(os.fspath(path))
        if not os.path.isfile(os.path.join(self.path, "config.json")):
            raise FormatError(self.path, "a run's directory", "none", "give the output of a run")

    def __repr__(self) -> str:
        return f"carat.Run({self.path!r}, {'finished' if self.is_finished else 'unfinished'})"

    def __fspath__(self) -> str:
        return self.path

    @property
    def is_finished(self) -> bool:
        return os.path.isfile(os.path.join(self.path, "result.json"))

    @property
    def config(self) -> Dict[str, Any]:
        """All settings (`config.json`)."""
        return self._json("config.json")

    @property
    def result(self) -> Dict[str, Any]:
        """Metrics of the best epoch on the test and validation split, times, the digest (`result.json`).

        Raises:
            FormatError: if the run has not finished.
        """
        if not self.is_finished:
            raise FormatError(self.path, "a finished run", "one that is not", "continue with carat.fit(…, resume=True)")
        return self._json("result.json")

    @property
    def steps(self) -> Any:
        """A pandas frame with a row a step: step, epoch, loss, learning_rate, gradient_norm (not in runs of earlier versions),
        samples_per_second, and each unweighted term of the loss."""
        keys = ("step", "epoch", "loss", "learning_rate", "gradient_norm", "samples_per_second")
        rows = [{**{k: r[k] for k in keys if k in r}, **r["terms"]}
                for r in self.records() if r["event"] == "step"]
        return pandas_frames().DataFrame(rows)

    @property
    def history(self) -> Any:
        """A pandas frame with a row an epoch: epoch, step, the means of loss and its terms, the validation split's metrics
        (`valid_micro_f1`, …), and whether it was the best so far. Of a run with average_weights two rows an epoch, which
        `weights` tells apart: live and averaged."""
        pandas = pandas_frames()
        steps = self.steps
        rows = []
        for record in self.records():
            if record["event"] == "evaluation" and record["split"] == "valid":
                metrics = {f"valid_{k}": v for k, v in record["metrics"].items() if not isinstance(v, dict)}
                of_epoch = steps[steps["epoch"] == record["epoch"]].drop(
                    columns=["step", "epoch", "gradient_norm", "samples_per_second"], errors="ignore")
                rows.append({"epoch": record["epoch"], "step": record["step"], **of_epoch.mean().to_dict(), **metrics,
                             "best": record["best"], **{k: record[k] for k in ("weights",) if k in record}})
        return pandas.DataFrame(rows)

    def evaluate(self, data: Union[None, Dataset, Path] = None, **options: Any) -> Dict[str, Any]:
        """Metrics and each label's line of a split: what `train evaluate --json` prints.

        Args:
            data: by default the run's own data set.
            options: those of `train evaluate`: split="valid", tune_threshold="label", …
        """
        said = program_output(["evaluate", self.path, "--json", *arguments_of({"data": data, **options})])
        found: Dict[str, Any] = json.loads(said)
        return found

    def predict(self, data: Union[None, Dataset, Path] = None, **options: Any) -> Any:
        """Scores and predicted labels, a pandas frame with a row a sample: what `train predict` prints.

        Args:
            data: a data set, whose split `split` is scored (test by default), or a file of samples; by default the run's own.
            options: those of `train predict`: split="valid", threshold=0.5, …
        """
        import io
        pandas = pandas_frames()
        said = program_output(["predict", self.path, *arguments_of({"data": data, **options})])
        return pandas.read_csv(io.StringIO(said), dtype={"id": str}, keep_default_na=False)

    def embeddings(self, data: Union[None, Dataset, Path] = None, **options: Any) -> Dict[str, Any]:
        """What the best weights make of each sample, NumPy arrays by name: `plain.text`, `alpha.…`, `beta.…` [N, C, D],
        `latent.plain.text`, … [N, C, P], `attention.text` [N, C, T] and so on, `prototypes.text` [2, C, P], `scores` and, where
        they are known, `labels` [N, C]: what `train predict --embeddings` writes.

        Args:
            data: a data set, whose split `split` is taken (test by default), or a file of samples; by default the run's own.
            options: those of `train predict`: split="valid", …
        """
        import tempfile

        from safetensors.numpy import load_file
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "embeddings.safetensors")
            program_output(["predict", self.path, "--embeddings", file, *arguments_of({"data": data, **options})])
            found: Dict[str, Any] = load_file(file)
        return found

    def report(self, output: Path, *others: Union["Run", Path], force: bool = False) -> str:
        """Writes one HTML page of this run, and of others beside it: what `carat report` writes. Needs matplotlib.

        Args:
            output: the page's file.
            others: finished runs to compare with this one.
            force: whether a file that is there is replaced.

        Returns:
            The file.

        Raises:
            FormatError: if a run has not finished.
            OutputError: if the file is there or can't be written.
        """
        needed("matplotlib", "matplotlib", "report()")
        from .reporting.report import write_report
        file = os.fspath(output)
        write_report([self, *(Run(other) for other in others)], file, force=force)
        return file

    def weights(self) -> Any:
        """The best epoch's weights as a PyTorch state dict."""
        load = needed("safetensors.torch", "torch", "weights()").load_file
        return load(os.path.join(self.path, "best.safetensors"))

    def _json(self, name: str) -> Dict[str, Any]:
        with open(os.path.join(self.path, name), encoding="utf-8") as file:
            found: Dict[str, Any] = json.load(file)
        return found

    def records(self) -> List[Dict[str, Any]]:
        """The objects of `metrics.jsonl`: steps, evaluations, and others by their `event`."""
        with open(os.path.join(self.path, "metrics.jsonl"), encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]


def fit(data: Union[None, Dataset, Path] = None, output: Optional[Path] = None, *, progress: bool = True, **options: Any) -> Run:
    """Trains a model and returns its run; Control-C stops it with a checkpoint, from which `resume=True` continues.

    >>> import numpy as np, carat, tempfile
    >>> random = np.random.default_rng(0)
    >>> data = carat.Dataset.from_arrays(
    ...     text=random.normal(size=(40, 6, 5)), visual=random.normal(size=(40, 6, 4)), audio=random.normal(size=(40, 6, 3)),
    ...     labels=random.random((40, 2)) < 0.5, label_names=["glad", "sad"])
    >>> run = carat.fit(data, tempfile.mkdtemp() + "/run", progress=False, epochs=2, batch_size=4, layers=(1, 1, 1),
    ...                 hidden_size=8, heads=2, feed_forward_size=8, latent_size=4, queue_size=64)
    >>> len(run.history), run.is_finished
    (2, True)

    Args:
        data: a data set; None for one that the program generates.
        output: the run's directory; by default a new one, runs/<date-time>.
        progress: whether to show progress: in a terminal the program's own bar, elsewhere a line an epoch.
        options: every option of `train run` under its name, with _ for -: epochs=20, batch_size=64, layers=(1, 1, 1),
            resume=True, overwrite=True, …

    Raises:
        ProgramError: what the program refused, in its words: RefusedError (a ValueError) for options and data, DivergedError
            (an ArithmeticError), ShortageError (a MemoryError), FileError (an OSError).
        KeyboardInterrupt: after the checkpoint was written.
    """
    for name in ("json", "quiet"):
        if name in options:
            raise TypeError(f"fit() takes no {name}: the result is run.result, and progress=False is quiet")
    path = os.fspath(output) if output is not None else _own_directory()
    arguments = ["run", *arguments_of({"data": data, "output": path, **options})]
    _follow(arguments if progress else [*arguments, "--quiet"], progress)
    return Run(path)


def _own_directory() -> str:
    stem = os.path.join("runs", time.strftime("%Y-%m-%d_%H-%M-%S"))
    names = (stem + (f"-{i}" if i else "") for i in range(1000))
    return next(name for name in names if not os.path.exists(name))


def arguments_of(options: Mapping[str, Any]) -> List[str]:
    """Options of the command line: True is a flag, None and False are left out, lists are joined by commas."""
    arguments = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        arguments.append("--" + name.replace("_", "-"))
        if isinstance(value, (list, tuple)):
            value = ",".join(str(item) for item in value)
        if value is not True:
            arguments.append(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
    return arguments


def _program() -> str:
    program = places.train()
    if not (os.path.isfile(program) or shutil.which(program)):
        raise FileNotFoundError(f"no program '{program}': build it (scripts/run, or swift build -c release), put `train` on PATH, or "
                                "name it in CARAT_TRAIN")
    return program


class _Diagnostics(threading.Thread):
    """The program's standard error: warnings are passed on, what it ends with is kept."""

    def __init__(self, stream: Any) -> None:
        super().__init__(daemon=True)
        self._stream, self._last = stream, []  # type: Any, List[str]

    def run(self) -> None:
        for line in self._stream:
            # The parser's message is followed by the usage.
            if self._last and not self._last[0].startswith("Error: "):
                self.pass_on()
            self._last.append(line.rstrip("\n"))

    def pass_on(self) -> None:
        for line in self._last:
            print(line, file=sys.stderr, flush=True)
        self._last = []

    def message(self) -> str:
        """What the program ended with, without its name and the usage."""
        line = self._last[0] if self._last else "no word of why"
        for prefix in ("train: ", "Error: "):
            if line.startswith(prefix):
                line = line[len(prefix):]
        return one_line(line)


def _start(arguments: List[str], stdout: Any) -> "subprocess.Popen[str]":
    # In a session of its own, so that Control-C reaches it once: from here.
    return subprocess.Popen([_program(), *arguments], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True,
                            encoding="utf-8", errors="replace", start_new_session=True)


def _end(process: "subprocess.Popen[str]", diagnostics: _Diagnostics) -> None:
    status = process.wait()
    diagnostics.join()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    if status in (0, 128 + signal.SIGINT):
        diagnostics.pass_on()
    elif status < 0:
        raise ProgramError(f"the program was ended by signal {-status} ({signal.Signals(-status).name})", status)
    else:
        raise program_error(diagnostics.message(), status)


def _follow(arguments: List[str], progress: bool) -> None:
    """Runs to the end. Control-C is passed on, and raised when the program has ended."""
    is_terminal = progress and sys.stdout is sys.__stdout__ and os.isatty(1)
    process = _start(arguments, None if is_terminal else subprocess.PIPE)
    diagnostics = _Diagnostics(process.stderr)
    diagnostics.start()
    interruption: Optional[BaseException] = None
    while True:
        try:
            for line in process.stdout or ():
                if progress:
                    print(line, end="", flush=True)
            _end(process, diagnostics)
            break
        except (KeyboardInterrupt, SystemExit) as stop:
            # A second one stops it at once, as in a shell.
            process.send_signal(signal.SIGINT if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM)
            interruption = stop
        except ProgramError:
            if interruption is None:
                raise
            break
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if interruption is not None:
        raise interruption
    if process.returncode == 128 + signal.SIGINT:
        raise KeyboardInterrupt


def program_output(arguments: List[str]) -> str:
    """What a command of the program prints.

    Raises:
        ProgramError: what it refused or failed at.
    """
    process = _start(arguments, subprocess.PIPE)
    diagnostics = _Diagnostics(process.stderr)
    diagnostics.start()
    try:
        said = process.stdout.read() if process.stdout else ""
        _end(process, diagnostics)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return said


def pandas_frames() -> Any:
    return needed("pandas", "pandas", "frames")


def needed(module: str, package: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} need the package {package}: pip install {package}") from error
