"""What a report tells of one run, read from its directory and from the program."""
import csv
import io
from dataclasses import dataclass
from typing import Any, Dict, List

import numpy as np

from ..runs import Run, program_output


@dataclass
class JudgedRun:
    """A finished run, and its best weights' scores of the test split.

    Attributes:
        scores: [N, C], between 0 and 1.
        truth: [N, C] of 0 and 1.
        evaluation: what `train evaluate --json` prints, with thresholds tuned on the validation split under `tuned`.
    """
    name: str
    path: str
    config: Dict[str, Any]
    result: Dict[str, Any]
    records: List[Dict[str, Any]]
    evaluation: Dict[str, Any]
    label_names: List[str]
    scores: np.ndarray
    truth: np.ndarray

    def events(self, event: str) -> List[Dict[str, Any]]:
        return [r for r in self.records if r["event"] == event]

    @property
    def thresholds(self) -> np.ndarray:
        """[C] the run's own."""
        return np.array([label["threshold"] for label in self.evaluation["labels"]])

    @property
    def predicted(self) -> np.ndarray:
        """[N, C] whether a label is predicted, by the run's own thresholds."""
        return self.scores > self.thresholds

    @property
    def epochs(self) -> List[Dict[str, Any]]:
        """Evaluations of the validation split."""
        return [r for r in self.events("evaluation") if r["split"] == "valid"]


def judge(run: Run, name: str) -> JudgedRun:
    """Evaluates a finished run's best weights on its own data.

    - Throws: FormatError if it has not finished, ProgramError if its data are gone."""
    result, config = run.result, run.config
    evaluation = run.evaluate(tune_threshold="label")
    rows = list(csv.DictReader(io.StringIO(program_output(["predict", run.path]))))
    names: List[str] = config["labelNames"]
    scores = np.array([[float(row["score_" + n]) for n in names] for row in rows])
    truth = np.array([[float(row["truth_" + n]) for n in names] for row in rows])
    return JudgedRun(name, run.path, config, result, run.records(), evaluation, names, scores, truth)
