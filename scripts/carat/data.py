"""Data sets of arrays."""
import os
import tempfile
import weakref
from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from .errors import FormatError
from .formats import MODALITIES
from .formats.dataset import ALL, Options, SourceDataset, SourceSplit
from .formats.dataset_writer import LengthRule, Plan, write_dataset
from .formats.mapped import Workspace
from .formats.preparation import prepare
from .formats.sequences import sequences_of

# What messages call the arrays, which lie in no file.
_NAME = "the arrays"
_REMEDY = "correct the arrays"

Features = Union[np.ndarray, Sequence[np.ndarray]]


class Dataset:
    """A data set directory, as `train run --data` takes it, or a file of samples, as `train predict --data` does.

    Attributes:
        path: the directory or file.
        notes: what was noticed when it was made, a line each.
    """

    def __init__(self, path: Union[str, "os.PathLike[str]"]) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.notes: List[str] = []
        if not os.path.exists(self.path):
            raise FormatError(self.path, "a data set", "nothing", "check the path")

    def __repr__(self) -> str:
        return f"carat.Dataset({self.path!r})"

    def __fspath__(self) -> str:
        return self.path

    @classmethod
    def from_arrays(
        cls, *, labels: Optional[np.ndarray] = None, lengths: Union[None, np.ndarray, Mapping[str, np.ndarray]] = None,
        ids: Optional[Sequence[str]] = None, label_names: Optional[Sequence[str]] = None,
        split: Optional[Tuple[float, float, float]] = (0.7, 0.15, 0.15), seed: int = 0,
        output: Union[None, str, "os.PathLike[str]"] = None, overwrite: bool = False, **modalities: Features,
    ) -> "Dataset":
        """Writes a data set of N samples.

        >>> import numpy as np, carat
        >>> random = np.random.default_rng(0)
        >>> data = carat.Dataset.from_arrays(
        ...     text=random.normal(size=(40, 6, 5)), visual=random.normal(size=(40, 6, 4)), audio=random.normal(size=(40, 6, 3)),
        ...     labels=random.random((40, 2)) < 0.5, label_names=["glad", "sad"])
        >>> sorted(os.listdir(data.path))
        ['test.safetensors', 'train.safetensors', 'valid.safetensors']

        Args:
            labels: [N, C] of 0 and 1 (or bool). Needed for training.
            lengths: [N] steps of each sample that are not padding, for all modalities, or such an array by modality.
            ids: N names. Of ids such as `video$_$3` or `video[3]`, those of one video stay in one split.
            label_names: C of them; `label0`, … by default.
            split: shares of train, valid and test, drawn at random with `seed`; None for a file of samples, for prediction.
            output: where to write; by default a temporary place that lasts as long as this object.
            overwrite: whether what is in `output` may be replaced.
            modalities: `text`, `visual`, `audio`, or others: each [N, T, F], or N arrays [t, F] of lengths of their own.

        Raises:
            FormatError: naming what does not fit together.
        """
        names = tuple(name for name in MODALITIES if name in modalities) + tuple(m for m in modalities if m not in MODALITIES)
        if not names:
            raise FormatError(_NAME, "an array of each modality", "none", "give text=, visual=, audio=")
        rows = None if labels is None else _labels(labels)
        if rows is None and split is not None:
            raise FormatError(_NAME, "labels to train on", "none", "give labels=, or split=None for samples to predict")
        sequences = {m: sequences_of(_features(modalities[m], m), _NAME, m, _lengths(lengths, m)) for m in names}
        split_of_all = SourceSplit(sequences, rows, None if ids is None else [str(name) for name in ids])
        count = 0 if rows is None else rows.shape[1]
        label_list = [str(n) for n in label_names] if label_names is not None else [f"label{i}" for i in range(count)]
        if rows is not None and len(label_list) != count:
            raise FormatError(_NAME, f"{count} label names", f"{len(label_list)}", _REMEDY)
        source = SourceDataset("arrays", _NAME, label_list, {ALL: split_of_all})
        prepare(source, Options(modalities=names, split=split, seed=seed, one_file=split is None))
        temporary: Optional[tempfile.TemporaryDirectory] = None
        if output is None:
            temporary = tempfile.TemporaryDirectory(prefix="carat-data.")
            output = os.path.join(temporary.name, "data" if split is not None else "samples.safetensors")
        path = os.path.abspath(os.fspath(output))
        parent = os.path.dirname(path)
        workspace = Workspace(parent if os.path.isdir(parent) else None)
        write_dataset(Plan(source, None, LengthRule(True, False, "end")), path, overwrite, workspace)
        made = cls(path)
        made.notes = source.notes
        if temporary is not None:
            weakref.finalize(made, temporary.cleanup)
        return made


def _features(values: Any, modality: str) -> Any:
    """Whatever is like an array as one; a list of arrays of different lengths as it is."""
    if isinstance(values, (list, tuple)):
        return [np.asarray(item) for item in values]
    found = np.asarray(values)
    if found.dtype == object:
        return [np.asarray(item) for item in found]
    if found.ndim != 3:
        raise FormatError(_NAME, f"{modality} of shape [N, T, F], or N arrays [t, F]", f"{found.shape}", _REMEDY)
    return found


def _lengths(lengths: Union[None, np.ndarray, Mapping[str, np.ndarray]], modality: str) -> Optional[np.ndarray]:
    given = lengths.get(modality) if isinstance(lengths, Mapping) else lengths
    return None if given is None else np.asarray(given)


def _labels(labels: Any) -> np.ndarray:
    rows = np.asarray(labels)
    if rows.ndim != 2 or rows.dtype.kind not in "biuf" or not np.isin(rows, (0, 1)).all():
        raise FormatError(_NAME, "labels [N, C] of 0 and 1", f"{rows.dtype} {rows.shape}", _REMEDY)
    return rows.astype(np.float32)


