"""Trials, one after the other or side by side, until all of a plan's have ended."""
import contextlib
import signal
import threading
import time
from typing import Callable, Iterator, List, Optional, Set

from .. import side_by_side
from ..errors import ProgramError
from ..side_by_side import Place, duration
from . import results
from .space import written
from .study import Study
from .trial_run import TrialRun

# Seconds between two looks at what is running.
_PAUSE = 0.1


class Stopped(Exception):
    """By Control-C or SIGTERM, when all runs have ended with a checkpoint."""


class Search:
    """
    Attributes:
        unfinished: trials whose runs ended before their time, by no wish of this program.
    """

    def __init__(self, study: Study, tell: Callable[[str], None]) -> None:
        self.study, self.plan, self._tell = study, study.plan, tell
        self.unfinished: List[int] = []
        self._running: List[TrialRun] = []
        self._stops = 0
        self._told: Set[int] = set()
        self._began, self._ended = time.monotonic(), 0

    def run(self) -> None:
        """Tries what is not tried yet, and writes the results after each trial.

        Raises:
            Stopped: when it was asked to stop; the same plan continues.
            ProgramError: what the trainer refused or failed at, where that is no single trial's fault.
        """
        todo = self.study.unfinished()
        new = max(len(self.plan.settings) - len(self.study.trials()), 0)
        free = self._places(len(todo) + new)
        failure: Optional[ProgramError] = None
        passed_on = 0
        with self._signals(), self._ended_with_this():
            while self._running or ((todo or new) and not self._stops):
                while free and (todo or new) and not self._stops:
                    if not todo:
                        todo, new = [self.study.begin()], new - 1
                    self._running.append(TrialRun(self.study, todo.pop(0), free.pop(0)))
                for run in list(self._running):
                    run.go_on()
                    if run.waits and not self._stops:
                        self._tell_of_waiting(run)
                    elif run.waits or run.has_ended():
                        self._running.remove(run)
                        free.append(run.place)
                        try:
                            self._conclude(run)
                        except ProgramError as error:
                            failure, self._stops = failure or error, self._stops + 1
                if self._stops > passed_on:
                    passed_on = self._stops
                    for run in self._running:
                        run.stop()
                time.sleep(_PAUSE if self._running else 0)
            results.write(self.study)
        if failure:
            raise failure
        if self._stops:
            raise Stopped()

    def _places(self, count: int) -> List[Optional[Place]]:
        """Says what there is to do, and gives each of the trials at a time cores of its own."""
        trials, jobs = self.study.trials(), min(self.plan.jobs, max(count, 1))
        if trials:
            self._tell(f"{len(trials) - len(self.study.unfinished())} of {max(len(trials), len(self.plan.settings))} trials have ended")
        if not count:
            return []
        self._tell(f"{count} trials into {self.plan.output}: " + "; ".join(f"{n}={written(d)}" for n, d in self.plan.space.items()))
        if jobs == 1:
            return [None]
        found, told = side_by_side.places(self.plan.train, jobs)
        self._tell(told)
        return list(found)

    def _tell_of_waiting(self, run: TrialRun) -> None:
        if run.number not in self._told:
            self._told.add(run.number)
            self._tell(f"trial {run.number}: waiting, for a run that an earlier start left is still at work in {run.directory}")

    def _conclude(self, run: TrialRun) -> None:
        if run.waits:
            return
        words = run.conclude(any(t.intermediate_values for t in self.study.trials()))
        if words.startswith("unfinished"):
            self.unfinished.append(run.number)
        results.write(self.study)
        self._ended += 1
        settings = ", ".join(f"{n} {results.shown(run.settings[n])}" for n in self.plan.space)
        complete = self.study.complete()
        best = f"; best is trial {complete[0].number} with {complete[0].value:.4f}" if complete else ""
        left = len(self.plan.settings) - len(self.study.trials()) + len(self.study.unfinished())
        time_left = f"; about {duration((time.monotonic() - self._began) / self._ended * left)} left" if left and not self._stops else ""
        self._tell(f"trial {run.number}, {settings}: {words}{best}{time_left}")

    @contextlib.contextmanager
    def _ended_with_this(self) -> Iterator[None]:
        """No run outlives a failure of this program."""
        try:
            yield
        except BaseException:
            for run in self._running:
                run.stop()
            for run in self._running:
                run.wait()
            raise

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Control-C and SIGTERM are counted, and passed on to the runs, which write a checkpoint: a second one ends them at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def count(*_: object) -> None:
            self._stops += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
