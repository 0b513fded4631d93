"""A data set as a source has it, before it is written: splits of modalities and labels."""
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

import numpy as np

from .errors import FormatError
from .sequences import Sequences

MODALITIES = ("text", "visual", "audio")
SPLITS = ("train", "valid", "test")
SPLIT_NAMES = {"train": ("train", "training"), "valid": ("valid", "val", "dev", "validation"), "test": ("test",)}
# What modalities are called elsewhere.
MODALITY_NAMES = {
    "text": ("src-text", "text", "language", "glove"),
    "visual": ("src-visual", "visual", "vision", "video"),
    "audio": ("src-audio", "audio", "acoustic"),
}


@dataclass(frozen=True)
class Options:
    """What a person may say about a source beyond its files."""
    labels: Optional[str] = None
    label_names: Optional[List[str]] = None
    threshold: float = 0.0
    sentiment_classes: Optional[int] = None
    max_steps: Optional[Tuple[int, int, int]] = None
    folds: Optional[str] = None
    align: str = "none"
    roles: Dict[str, str] = field(default_factory=dict)


@dataclass
class SourceSplit:
    """N samples: a `Sequences` for each modality, and labels [N, C] of 0 and 1."""
    modalities: Dict[str, Sequences]
    labels: np.ndarray


@dataclass
class SourceDataset:
    """All splits of a source; `default_steps` are the steps its sequences are cut to if nobody says otherwise."""
    format: str
    path: str
    label_names: List[str]
    splits: Dict[str, SourceSplit]
    default_steps: Optional[Tuple[int, int, int]] = None
    notes: List[str] = field(default_factory=list)

    def check(self) -> None:
        """That splits agree with each other, and samples with their labels."""
        first = self.splits["train"]
        for name, split in self.splits.items():
            counts = {m: s.count for m, s in split.modalities.items()}
            counts["labels"] = len(split.labels)
            if len(set(counts.values())) != 1 or not len(split.labels):
                raise FormatError(self.path, f"as many samples of each modality as labels in split {name}",
                                  ", ".join(f"{n} of {m}" for m, n in counts.items()), "check what wrote the file")
            for m in MODALITIES:
                mine, theirs = split.modalities[m].features, first.modalities[m].features
                if mine != theirs:
                    raise FormatError(self.path, f"{theirs} features of {m}, as in split train",
                                      f"{mine} in split {name}", "make all splits with the same features")
        names = self.label_names
        if len(set(names)) != len(names) or any("," in n or not n.strip() for n in names):
            raise FormatError(self.path, "different label names without commas", f"{names}", "use --label-names")
