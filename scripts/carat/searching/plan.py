"""What a search is to do, checked before anything is written."""
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import optuna

from .. import side_by_side
from ..command_line import given
from ..errors import FormatError, UsageError
from ..train_options import train_options
from .space import Space, Values, drawn, grid, space_of, written

METRICS = ("micro_f1", "macro_f1", "mAP")
# Options of runs that the search itself gives, or that would change what a trial is.
_OWN = {"data": "give it as the search's own", "output": "give it as the search's own", "best-by": "say --metric",
        "resume": "a search continues by itself", "overwrite": "take another --output", "allow-changed": "a trial keeps its settings",
        "json": "results are in search.csv and best.json"}


@dataclass(frozen=True)
class Pruning:
    """When trials that do worse than the median of those that came to their end are stopped.

    Attributes:
        whole_trials: how many come to their end before any is stopped.
        from_epoch: the first epoch at whose end one may be stopped.
    """
    whole_trials: int = 5
    from_epoch: int = 1


@dataclass(frozen=True)
class Plan:
    """
    Attributes:
        data: the data set's directory.
        settings: of each trial, by its number; whole numbers, fractions or text by the options' names.
        metric: of the validation split, which chooses among a run's epochs and among trials.
        seed: of what is drawn; None for a grid.
        options: of all trials.
        pruning: None for none.
    """
    train: str
    output: str
    data: str
    space: Space
    settings: List[Dict[str, Any]]
    metric: str
    seed: Optional[int]
    options: List[str]
    jobs: int = 1
    pruning: Optional[Pruning] = field(default_factory=Pruning)

    def directory(self, trial: int) -> str:
        return os.path.join(self.output, f"trial-{trial}")

    def run_options(self, settings: Mapping[str, Any]) -> List[str]:
        """Those of `train run`, but for --output and --resume, of a trial."""
        own = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return ["--data", self.data, *self.options, "--best-by", self.metric, *own]

    def identity(self) -> Dict[str, str]:
        """What all trials of an output have in common, in words."""
        return {"--space": "; ".join(f"{name}={written(d)}" for name, d in self.space.items()),
                "--metric": self.metric, "kind": "a grid" if self.seed is None else f"drawn at random with --search-seed {self.seed}",
                "options of all trials": json.dumps(self.options), "data": f"files of SHA-256 {_fingerprint(self.data)}"}


def plan(train: str, output: str, data: str, space: Sequence[Tuple[str, Values]], options: Sequence[str], *, trials: Optional[int] = None,
         is_grid: bool = False, metric: str = "micro_f1", seed: int = 1, jobs: int = 1,
         pruning: Optional[Pruning] = None) -> Plan:
    """Checks all that can be checked without training.

    Args:
        space: names with values, as `--space` takes them, or lists.
        options: of `train run`, for all trials.
        trials: by default 20, or the whole grid.

    Raises:
        UsageError: if something is not such as a search can use.
        FormatError: if there is no data set.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    side_by_side.check_program(train)
    known = train_options(train)
    if not space:
        raise UsageError("expected settings to search, found none; give --space NAME=VALUES, such as --space learning-rate=1e-5..1e-3:log")
    if metric not in METRICS:
        raise UsageError(f"--metric {metric}: expected one of {', '.join(METRICS)}; choose one of them")
    for name, number, least, most in (
            ("trials", trials, 1, 1 << 20), ("jobs", jobs, 1, 1 << 20), ("search-seed", seed, 0, (1 << 32) - 1),
            ("whole-trials", pruning.whole_trials if pruning else 1, 1, 1 << 20), ("prune-from", pruning.from_epoch if pruning else 1, 1, 1 << 20)):
        if number is not None and not least <= number <= most:
            raise UsageError(f"--{name} {number}: expected {least} to {most}; give another")
    if jobs > 1:
        side_by_side.places(train, jobs)
    read = space_of(space, known)
    names = {n: option.name for n, option in known.items()}
    for alias, name in names.items():
        if name in _OWN and name in read:
            raise UsageError(f"--space {name}: expected a setting of the model or its training; {_OWN[name]}")
        word = given(f"--{alias}", options)
        if word and name in _OWN:
            raise UsageError(f"options of all trials have {word}: expected none that the search gives; {_OWN[name]}")
        if word and name in read:
            raise UsageError(f"options of all trials have {word}, which --space {name} gives; leave one of them out")
    for split in ("train", "valid", "test"):
        if not os.path.isfile(os.path.join(data, f"{split}.safetensors")):
            raise FormatError(data, "a data set directory with train, valid and test.safetensors", f"no {split}.safetensors",
                              "check the path; scripts/convert or train generate makes one")
    settings = grid(read)[:trials] if is_grid else drawn(read, 20 if trials is None else trials, seed)
    return Plan(train, os.path.abspath(output), os.path.abspath(data), read, settings, metric, None if is_grid else seed,
                list(options), jobs, pruning)


def _fingerprint(data: str) -> str:
    """Of all bytes, for a search that continues with other data would compare what can't be compared."""
    found = hashlib.sha256()
    for split in ("train", "valid", "test"):
        with open(os.path.join(data, f"{split}.safetensors"), "rb") as file:
            while content := file.read(1 << 24):
                found.update(content)
    return found.hexdigest()
