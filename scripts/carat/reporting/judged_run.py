"""What a report tells of one run, read from its directory and from the program."""
import csv
import io
import os
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple, Union

import numpy as np

from ..errors import USAGE, FileError, ProgramError, ShortageError
from ..runs import Run, program_output
from . import latents


@dataclass
class JudgedRun:
    """A finished run, and its best weights' scores of the test split.

    Attributes:
        scores: [N, C], between 0 and 1.
        truth: [N, C] of 0 and 1.
        evaluation: what `train evaluate --json` prints, with thresholds tuned on the validation split under `tuned`.
        latents: or else why there are none.
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
    latents: Union[latents.Latents, str]

    def events(self, event: str) -> List[Dict[str, Any]]:
        return [r for r in self.records if r["event"] == event]

    @property
    def phases(self) -> Dict[str, float]:
        """Seconds of a step by phase, the mean over all steps that were timed; of runs of earlier versions none."""
        found = self.events("phases")
        steps = sum(r["steps"] for r in found)
        names = dict.fromkeys(name for r in found for name in r["seconds"])
        return {name: sum(r["steps"] * r["seconds"].get(name, 0.0) for r in found) / max(steps, 1) for name in names}

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
    names: List[str] = config["labelNames"]
    # The run's own threshold: those that are kept with the weights are in its result.
    evaluation = run.evaluate(tune_threshold="label", threshold=config.get("threshold"))
    rows, made = _scored(run)
    scores = np.array([[float(row["score_" + n]) for n in names] for row in rows])
    truth = np.array([[float(row["truth_" + n]) for n in names] for row in rows])
    modalities = [m["name"] for m in config["model"]["modalities"]]
    own = made if isinstance(made, str) else latents.read(made, rows, names, modalities)
    return JudgedRun(name, run.path, config, result, run.records(), evaluation, names, scores, truth, own)


def _scored(run: Run) -> Tuple[List[Dict[str, str]], Union[Dict[str, np.ndarray], str]]:
    """Predictions of the test split, a line a sample, and what the best weights make of it, or else why that can't be had: a
    program that does not know how, too little memory, or too little room for the temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "predictions.csv")
        try:
            # Above 0 every label is predicted, and so explained.
            made = run.embeddings(explain=True, threshold=0, output=file)
        except ProgramError as error:
            if error.status != USAGE and not isinstance(error, (ShortageError, FileError)):
                raise
            return list(csv.DictReader(io.StringIO(program_output(["predict", run.path])))), str(error)
        with open(file, encoding="utf-8", newline="") as text:
            return list(csv.DictReader(text)), made
