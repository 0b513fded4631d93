"""M3ED's pickles as its authors give them: a list with, among others, labels, text, visual and audio features by
dialogue and the dialogues of each split. `m3ed_reader.py` of CARAT's released code reads the same."""
from typing import Any, Dict, List

from ...errors import FormatError, UsageError
from ..dataset import MODALITIES, SPLITS, Options, SourceDataset, SourceSplit
from ..labels import M3ED_EMOTIONS, from_numbers
from ..sequences import RaggedSequences, Sequences
from ..values import as_items

_LABELS = 2
_FEATURES = {"text": 3, "visual": 4, "audio": 5}
_SPLITS = {"train": 7, "valid": 8, "test": 9}
# The released code cuts to as many utterances.
STEPS = 60


def is_m3ed(content: Any) -> bool:
    """Whether this is the list: ten entries or more, of which the first are dictionaries by dialogue."""
    return (isinstance(content, (list, tuple)) and len(content) >= 10
            and all(isinstance(content[i], dict) for i in (_LABELS, *_FEATURES.values())))


def _count(utterances: Any) -> int:
    shape = getattr(utterances, "shape", None)
    return int(shape[0]) if shape else len(utterances)


def open_source(content: Any, path: str, options: Options) -> SourceDataset:
    if options.keys or options.labels is not None or any(m not in _FEATURES for m in options.modalities):
        raise UsageError(f"M3ED's file has its labels, and {', '.join(_FEATURES)} in their places: leave --keys, --labels and "
                         "other modalities out")
    labels = content[_LABELS]
    names = options.label_names or M3ED_EMOTIONS
    splits: Dict[str, SourceSplit] = {}
    for split in SPLITS:
        dialogues: List[Any] = as_items(content[_SPLITS[split]], path, f"dialogues of {split}")
        for dialogue in dialogues:
            if not isinstance(dialogue, (str, int)) or any(
                    dialogue not in content[i] for i in (_LABELS, *_FEATURES.values())):
                raise FormatError(path, "labels and features of every dialogue", f"none for '{dialogue}' of {split}",
                                  "fetch the file again")
            counts = {m: _count(content[i][dialogue]) for m, i in {"labels": _LABELS, **_FEATURES}.items()}
            if len(set(counts.values())) != 1:
                raise FormatError(path, f"as many utterances of each kind in '{dialogue}' of {split}",
                                  ", ".join(f"{n} of {m}" for m, n in counts.items()), "fetch the file again")
        modalities: Dict[str, Sequences] = {m: RaggedSequences([content[_FEATURES[m]][d] for d in dialogues], path, f"{split} {m}")
                      for m in options.modalities}
        rows = from_numbers([labels[d] for d in dialogues], names, path, lambda row: f"'{dialogues[row]}' of {split}")
        splits[split] = SourceSplit(modalities, rows, None if options.ids == "none" else [str(d) for d in dialogues])
    return SourceDataset("m3ed", path, list(names), splits, default_steps=dict.fromkeys(MODALITIES, STEPS))
