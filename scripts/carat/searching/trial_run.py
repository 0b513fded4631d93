"""A trial whose run is under way: what its epochs gave, whether it is worth continuing, how it ended."""
import json
import os
import signal
import time
from typing import Any, Dict, List, Optional

from optuna.trial import FrozenTrial, TrialState

from ..errors import one_line, program_error
from ..side_by_side import Place, Started
from .study import Study

# The program's status where another process has the run's directory.
_IN_USE = 75
# What is the trial's own fault: steps that are not finite, settings that don't fit each other, too little memory.
_OWN_FAULTS = (2, 64, 71)


class TrialRun:
    """
    Attributes:
        number: the trial's.
        waits: whether another process has the run's directory.
    """

    def __init__(self, study: Study, trial: FrozenTrial, place: Optional[Place]) -> None:
        self.study, self.plan, self.place, self.number = study, study.plan, place, trial.number
        self.settings: Dict[str, Any] = trial.params
        self.directory = self.plan.directory(trial.number)
        self.waits = False
        self._trial = study.live(trial)
        self._reported = dict(trial.intermediate_values)
        self._started: Optional[Started] = None
        self._pruned = False
        self._read, self._again = 0, 0.0
        if self._reported and self._is_worse(max(self._reported)):           # killed between the two
            self._pruned = True
        else:
            self._start()

    def _start(self) -> None:
        self._read = 0
        self._started = Started(self.plan.train, self.directory, self.plan.run_options(self.settings), self.place, own_session=True)

    def stop(self) -> None:
        """As Control-C does: the run writes a checkpoint and ends; a second time it ends at once."""
        if self._started and self._started.process.poll() is None:
            self._started.process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        if self._started:
            self._started.process.wait()

    def go_on(self) -> None:
        """Reports epochs that ended since, and stops the run if the trial is not worth continuing; starts it again when the
        directory is free."""
        if self.waits:
            if time.monotonic() >= self._again:
                self.waits = False
                self._start()
        elif not self._pruned:
            self._follow()

    def _follow(self) -> None:
        for record in self._evaluations():
            epoch = record["epoch"]
            if epoch in self._reported:
                continue
            self._reported[epoch] = record["metrics"][self.plan.metric]
            self._trial.report(self._reported[epoch], epoch)
            if self._is_worse(epoch):
                self._pruned = True
                self.stop()
                return

    def _evaluations(self) -> List[Dict[str, Any]]:
        """Those of the validation split that metrics.jsonl has since last time."""
        try:
            with open(os.path.join(self.directory, "metrics.jsonl"), "rb") as file:
                if file.seek(0, os.SEEK_END) < self._read:                   # cut back to the checkpoint that the run continues from
                    self._read = 0
                file.seek(self._read)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content.rfind(b"\n") + 1
        self._read += whole
        found = [json.loads(line) for line in content[:whole].splitlines() if b'"evaluation"' in line]
        return [r for r in found if r["event"] == "evaluation" and r["split"] == "valid"]

    def _is_worse(self, epoch: int) -> bool:
        """Whether the trial is to be stopped after this epoch; not after the last one, which costs nothing more."""
        try:
            with open(os.path.join(self.directory, "config.json"), encoding="utf-8") as file:
                epochs = json.load(file)["epochs"]
        except FileNotFoundError:                                            # somebody removed the run: it starts anew
            return False
        return epoch < epochs and self._trial.should_prune()

    def has_ended(self) -> bool:
        """Whether the run has; then `conclude` tells how. One that found its directory in use only waits."""
        if self.waits or (self._started and self._started.process.poll() is None):
            return False
        if self._started and self._started.process.returncode == _IN_USE and not self._pruned:
            self.waits, self._again = True, time.monotonic() + 1
            return False
        return True

    def conclude(self, others_trained: bool) -> str:
        """Records how the trial ended, and says so in words. One that was stopped from outside stays as it is.

        Args:
            others_trained: whether the options of all trials have served any.

        Raises:
            ProgramError: if the fault is not the trial's, so that others would meet it too.
        """
        if not self._pruned:
            self._follow()
        if self._pruned:
            self.study.study.tell(self.number, state=TrialState.PRUNED)
            best = max(self._reported.values())
            return f"stopped after epoch {max(self._reported)}, below the median: valid {self.plan.metric} {best:.4f}"
        assert self._started
        status = self._started.process.returncode
        path = os.path.join(self.directory, "result.json")
        if status == 0 and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return self._complete(json.load(file))
        if status in (0, 130) or status < 0:
            return f"unfinished, {'stopped' if status >= 0 else f'ended by {signal.Signals(-status).name}'}"
        words = _last_words(self._started.said())
        if status in _OWN_FAULTS and (status != 64 or others_trained):
            self._trial.set_user_attr("failure", words)
            self.study.study.tell(self.number, state=TrialState.FAIL)
            return f"failed, status {status}: {words}"
        raise program_error(f"{self.directory}: {words}", status)

    def _complete(self, result: Dict[str, Any]) -> str:
        for name in ("valid", "test"):
            self._trial.set_user_attr(name, {k: v for k, v in result[name].items() if isinstance(v, (int, float))})
        self._trial.set_user_attr("best_epoch", result["best_epoch"])
        value = result["valid"][self.plan.metric]
        self.study.study.tell(self.number, value)
        return f"valid {self.plan.metric} {value:.4f} in epoch {result['best_epoch']}"


def _last_words(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()] or ["no word of why"]
    told = [line for line in lines if line.startswith(("train: ", "Error: "))]
    return one_line((told or lines)[-1].partition(": ")[2] if told else lines[-1])
