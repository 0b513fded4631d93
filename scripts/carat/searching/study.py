"""The trials of an output so far, which outlast the program: Optuna's journal, an operation a line."""
import contextlib
import errno
import fcntl
import json
import os
from typing import Any, Dict, Iterator, List

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from ..errors import CANNOT_CREATE, USAGE, OutputError
from .plan import Plan

JOURNAL = "study.journal"
_NAME = "carat search"


class Study:
    """What was tried: of each trial its settings, its epochs' metric, how it ended."""

    def __init__(self, plan: Plan, study: optuna.Study) -> None:
        self.plan, self.study = plan, study

    def trials(self) -> List[FrozenTrial]:
        """By number."""
        return self.study.get_trials(deepcopy=False)

    def unfinished(self) -> List[FrozenTrial]:
        return [t for t in self.trials() if t.state == TrialState.RUNNING]

    def complete(self) -> List[FrozenTrial]:
        """Those that came to their end, the best on the validation split first; of equal ones the earlier."""
        found = [t for t in self.trials() if t.state == TrialState.COMPLETE]
        return sorted(found, key=lambda t: (-(t.value or 0), t.number))

    def begin(self) -> FrozenTrial:
        """The next trial, in one line of the journal: killed before it or after it, never half-way.

        Raises:
            OutputError: if there is a run in its directory, which can't be the trial's.
        """
        number = len(self.trials())
        directory, settings = self.plan.directory(number), self.plan.settings[number]
        if os.path.exists(os.path.join(directory, "config.json")):
            raise OutputError(f"{directory}: expected no run of a trial that is new, found one; remove it, or choose another --output",
                              CANNOT_CREATE)
        self.study.add_trial(create_trial(state=TrialState.RUNNING, params=settings, distributions=self.plan.space))
        return self.trials()[-1]

    def live(self, trial: FrozenTrial) -> Trial:
        """A trial to report to."""
        return Trial(self.study, trial._trial_id)


@contextlib.contextmanager
def opened(plan: Plan) -> Iterator[Study]:
    """The study in the plan's output, made if there is none; nobody else's as long as the block runs.

    Raises:
        OutputError: if the output has a search of something else (status 64), another search is at it (75), or it can't be
            created (73).
    """
    try:
        os.makedirs(plan.output, exist_ok=True)
        lock = open(os.path.join(plan.output, "search.lock"), "w")
    except OSError as error:
        raise OutputError(f"{plan.output}: can't create it: {error.strerror}; choose another --output", CANNOT_CREATE)
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)                 # dies with its holder
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise OutputError(f"{plan.output}: expected no search at work, found one; wait for it, or choose another --output", 75)
        _mend(plan)
        yield Study(plan, _study(plan))


def _mend(plan: Plan) -> None:
    """What a kill leaves: a line that is cut short, and the lock of who wrote it."""
    path = os.path.join(plan.output, JOURNAL)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + ".lock")
    with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if content[whole:].startswith(b"{"):
            file.truncate(whole)


def _study(plan: Plan) -> optuna.Study:
    path = os.path.join(plan.output, JOURNAL)
    wanted = plan.identity()
    try:
        study = _load(path, plan)
        found: Dict[str, Any] = study.user_attrs.get("carat", {})
    except (ValueError, KeyError, json.JSONDecodeError) as error:
        raise OutputError(f"{path}: expected the journal of a search, found another file or a damaged one ({error}); "
                          "choose another --output", USAGE)
    if found and found != wanted:
        if any(t.state != TrialState.RUNNING or t.intermediate_values or os.path.exists(os.path.join(
                plan.directory(t.number), "config.json")) for t in study.trials):
            differing = [name for name in wanted if found.get(name) != wanted[name]]
            raise OutputError(f"{plan.output}: has trials of another search: " + "; ".join(
                f"expected {name} {found.get(name)}, found {wanted[name]}" for name in differing)
                + "; give what it was begun with, or another --output", USAGE)
        # Nothing was trained: what was wrong has been corrected.
        os.unlink(path)
        study, found = _load(path, plan), {}
    if not found:
        study.set_user_attr("carat", wanted)
    return study


def _load(path: str, plan: Plan) -> optuna.Study:
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if plan.pruning:
        pruner = optuna.pruners.MedianPruner(plan.pruning.whole_trials, plan.pruning.from_epoch)
    # The sampler draws nothing: trials' settings are the plan's.
    sampler = optuna.samplers.RandomSampler()
    storage = JournalStorage(JournalFileBackend(path))
    if any(s.study_name == _NAME for s in optuna.get_all_study_summaries(storage)):
        return optuna.load_study(study_name=_NAME, storage=storage, sampler=sampler, pruner=pruner)
    return optuna.create_study(study_name=_NAME, storage=storage, direction="maximize", sampler=sampler, pruner=pruner)
