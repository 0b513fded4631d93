"""A dictionary of splits, in a pickle or a torch file: the authors' `train_valid_test.pt` and `m3ed_data_60.pt`,
`mosei_senti_data_noalign.pkl`, and MMSA's `aligned_50.pkl` and `unaligned_50.pkl`."""
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from ..dataset import MODALITIES, MODALITY_NAMES, SPLIT_NAMES, SPLITS, Options, SourceDataset, SourceSplit
from ..errors import FormatError
from ..labels import (EMOTIONS, SENTIMENT_NAMES, NamedLabels, from_intensities, from_sentiment, from_tokens,
                      names_of_tokens)
from ..sequences import sequences_of
from ..values import as_names, as_numbers

_LENGTHS = {"text": ("text_lengths", "text_length"),
            "visual": ("vision_lengths", "visual_lengths", "visual_length", "video_lengths"),
            "audio": ("audio_lengths", "audio_length")}
_EMOTION_KEYS = ("emotion_labels", "emotions", "emotion", "labels", "label")
_SENTIMENT_KEYS = ("regression_labels", "regression_labels_M", "labels", "label")


def with_text_keys(value: Any) -> Dict[str, Any]:
    """A dictionary by its names, bytes (of another Python) made text."""
    return {k.decode("latin-1") if isinstance(k, bytes) else k: v for k, v in value.items()
            if isinstance(k, (str, bytes))}


def splits_of(content: Any) -> Optional[Dict[str, Dict[str, Any]]]:
    """The three splits by our names, or None if this is no dictionary of splits."""
    if not isinstance(content, dict):
        return None
    content = with_text_keys(content)
    found: Dict[str, Dict[str, Any]] = {}
    for split in SPLITS:
        for name in SPLIT_NAMES[split]:
            if isinstance(content.get(name), dict):
                found.setdefault(split, with_text_keys(content[name]))
    return found if "train" in found else None


def first_of(fields: Dict[str, Any], names: Any) -> Tuple[Optional[str], Any]:
    for name in names:
        if fields.get(name) is not None:
            return name, fields[name]
    return None, None


class SplitLabels:
    """Labels that a dictionary of splits holds, split by split in the order of the samples."""

    def __init__(self, content: Any, splits: Dict[str, Dict[str, Any]], path: str, options: Options) -> None:
        self._splits, self._path, self._options = splits, path, options
        self._token_names = options.label_names or names_of_tokens(with_text_keys(content).get("dict")) or EMOTIONS
        self.names: List[str] = []

    def of(self, _: Optional[List[str]], split: str) -> np.ndarray:
        labels, names = self._labels(split)
        if self.names and names != self.names:
            raise FormatError(self._path, f"labels {', '.join(self.names)}", f"{', '.join(names)} in split {split}",
                              "make all splits with the same labels")
        self.names = names
        return labels

    def _labels(self, split: str) -> Tuple[np.ndarray, List[str]]:
        if split not in self._splits:
            raise FormatError(self._path, f"labels of split {split}", "none", "give a file with all splits")
        fields, options, path = self._splits[split], self._options, self._path
        if options.sentiment_classes is not None:
            _, sentiment = first_of(fields, _SENTIMENT_KEYS)
            if sentiment is None:
                raise FormatError(path, "a sentiment: " + " or ".join(_SENTIMENT_KEYS), ", ".join(fields), "use --labels")
            names = options.label_names or SENTIMENT_NAMES[options.sentiment_classes]
            return from_sentiment(sentiment, options.sentiment_classes, path), names
        if "tgt" in fields:
            return from_tokens(fields["tgt"], self._token_names, path), self._token_names
        for key in _EMOTION_KEYS:
            if fields.get(key) is None:
                continue
            values = as_numbers(fields[key], path, key)
            columns = int(np.prod(values.shape[1:]))
            if columns > 1:
                return from_intensities(values, options.label_names, options.threshold, path)
        raise FormatError(path, "emotion labels: tgt, " + ", ".join(_EMOTION_KEYS),
                          f"only {', '.join(list(fields)[:16])} in split {split}",
                          "give a file that has them with --labels, or derive them with --sentiment-classes")


def open_source(content: Any, splits: Dict[str, Dict[str, Any]], path: str, options: Options,
                named: Optional[NamedLabels] = None, other: Optional[SplitLabels] = None) -> SourceDataset:
    """The data set in a dictionary of splits, with labels from another file if there is one."""
    labels: Any = named or other or SplitLabels(content, splits, path, options)
    opened: Dict[str, SourceSplit] = {}
    notes: List[str] = []
    for split in SPLITS:
        if split not in splits:
            raise FormatError(path, f"a split {split}", ", ".join(splits), "give a file with train, valid and test")
        fields = splits[split]
        modalities = {}
        for modality in MODALITIES:
            key, value = first_of(fields, MODALITY_NAMES[modality])
            if key is None:
                raise FormatError(path, f"{modality}: {' or '.join(MODALITY_NAMES[modality])}",
                                  f"only {', '.join(list(fields)[:16])} in split {split}", "check what wrote the file")
            modalities[modality] = sequences_of(value, path, f"{split} {key}", _lengths(fields, modality, path))
        rows = labels.of(as_names(first_of(fields, ("id", "ids"))[1]), split)
        opened[split] = SourceSplit(modalities, rows)
    return SourceDataset("splits", path, list(labels.names), opened, notes=notes)


def _lengths(fields: Dict[str, Any], modality: str, path: str) -> Optional[np.ndarray]:
    """How many steps of each sample are not padding, where the file says so: by modality, or by `len_list` for all."""
    key, value = first_of(fields, _LENGTHS[modality] + ("len_list",))
    if key is not None:
        return as_numbers(value, path, key).reshape(-1).astype(np.int64)
    if modality == "text" and fields.get("text_bert") is not None:           # [N, 3, T]: tokens, mask, segment
        tokens = as_numbers(fields["text_bert"], path, "text_bert")
        if tokens.ndim == 3 and tokens.shape[1] == 3:
            return (tokens[:, 1] > 0).sum(1)
    return None
