"""A data set as a source has it, before it is written: splits of modalities, labels and sample ids."""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from ..errors import Problems
from . import MODALITIES
from .sequences import Selection, Sequences

SPLITS = ("train", "valid", "test")
SPLIT_NAMES = {"train": ("train", "training"), "valid": ("valid", "val", "dev", "validation"), "test": ("test",)}
# The one split of a file that has none.
ALL = "all"
# What things are called in files. Anything else is named with --keys.
KEYS = {
    "text": ("src-text", "text", "language", "glove"),
    "visual": ("src-visual", "visual", "vision", "video"),
    "audio": ("src-audio", "audio", "acoustic"),
    "labels": ("emotion_labels", "emotions", "emotion", "labels", "label"),
    "sentiment": ("regression_labels", "regression_labels_M", "sentiment", "labels", "label"),
    "id": ("id", "ids"),
    "text_length": ("text_lengths", "text_length", "len_list"),
    "visual_length": ("vision_lengths", "visual_lengths", "visual_length", "video_lengths", "len_list"),
    "audio_length": ("audio_lengths", "audio_length", "len_list"),
}


@dataclass(frozen=True)
class Options:
    """What a person may say about a source beyond its files."""
    labels: Optional[str] = None
    label_names: Optional[List[str]] = None
    threshold: Optional[float] = None
    sentiment_classes: Optional[int] = None
    one_hot: bool = False
    keys: Dict[str, str] = field(default_factory=dict)
    modalities: Tuple[str, ...] = MODALITIES
    max_steps: Optional[Tuple[int, ...]] = None
    mixed_features: Optional[str] = None
    ids: str = "keep"
    split: Optional[Tuple[float, float, float]] = None
    seed: int = 0
    # All samples go into one file, which may lack labels: they are for prediction.
    one_file: bool = False
    padding: Optional[str] = None
    folds: Optional[str] = None
    align: str = "none"

    def names_of(self, role: str) -> Sequence[str]:
        """What a field may be called."""
        if role in self.keys:
            return (self.keys[role],)
        return KEYS.get(role, (role, f"{role}s", "len_list") if role.endswith("_length") else (role,))

    def find(self, fields: Dict[str, Any], role: str) -> Tuple[Optional[str], Any]:
        """A field and the name that it has; two times None if there is none."""
        return next(((name, fields[name]) for name in self.names_of(role) if fields.get(name) is not None), (None, None))


@dataclass
class SourceSplit:
    """N samples: a `Sequences` for each modality, labels [N, C] of 0 and 1, and what the samples are called."""
    modalities: Dict[str, Sequences]
    labels: Optional[np.ndarray]
    ids: Optional[List[str]] = None

    @property
    def count(self) -> int:
        return next(iter(self.modalities.values())).count

    def select(self, rows: np.ndarray) -> "SourceSplit":
        """Some of the samples, in ascending order."""
        return SourceSplit({m: Selection(s, rows) for m, s in self.modalities.items()},
                           None if self.labels is None else self.labels[rows],
                           None if self.ids is None else [self.ids[row] for row in rows])

    def place(self, row: int) -> str:
        return f"row {row}" + (f" ('{self.ids[row]}')" if self.ids is not None else "")


@dataclass
class SourceDataset:
    """All splits of a source, or one of the name `ALL`; `default_steps` are the steps its sequences are cut to if nobody
    says otherwise."""
    format: str
    path: str
    label_names: List[str]
    splits: Dict[str, SourceSplit]
    default_steps: Optional[Dict[str, int]] = None
    notes: List[str] = field(default_factory=list)
    # What was wrong so far, to be told with what the checks find.
    problems: Problems = field(default_factory=Problems)

    @property
    def modalities(self) -> List[str]:
        splits = list(self.splits.values())
        return [m for m in splits[0].modalities if all(m in split.modalities for split in splits)]
