"""Writes a data set directory, or a file of samples: all of it or nothing, a portion of a split in memory at a time."""
import os
import shutil
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from .. import durable
from ..errors import CANNOT_CREATE, CANNOT_WRITE, OutputError
from .dataset import ALL, MODALITIES, SourceDataset, SourceSplit
from .mapped import Workspace
from .progress import Progress
from .repairs import Repairs, infer_lengths, mend, usable_lengths
from .safetensors_file import Planned, SafetensorsWriter

# Bytes of features in memory at a time.
PORTION = 4 << 20


@dataclass(frozen=True)
class LengthRule:
    """Whether lengths are written, and where they come from."""
    use: bool = True
    infer: bool = False
    padding: str = "end"


class Plan:
    """What will be written: T of each modality, the same in all splits, and which of them have lengths."""

    def __init__(self, source: SourceDataset, max_steps: Optional[Tuple[int, ...]], rule: LengthRule) -> None:
        self.source, self.rule, self.modalities = source, rule, source.modalities
        limits = source.default_steps if max_steps is None else dict(zip(self.modalities, max_steps))
        self.steps: Dict[str, int] = {}
        self.with_lengths: Dict[str, bool] = {}
        for m in self.modalities:
            sequences = [split.modalities[m] for split in source.splits.values()]
            longest = max(s.steps for s in sequences)
            self.steps[m] = min(longest, limits[m]) if limits else longest
            self.with_lengths[m] = rule.use and (
                rule.infer or any(s.ragged or s.steps < self.steps[m] for s in sequences))

    @property
    def bytes(self) -> int:
        return sum(split.modalities[m].count * self.steps[m] * split.modalities[m].features * 4
                   for split in self.source.splits.values() for m in self.modalities)

    def tensors(self, split: SourceSplit) -> List[Planned]:
        n = split.count
        planned = [Planned(m, np.dtype(np.float32), (n, self.steps[m], split.modalities[m].features))
                   for m in self.modalities]
        if split.labels is not None:
            planned.append(Planned("labels", np.dtype(np.float32), split.labels.shape))
        planned += [Planned(f"{m}_length", np.dtype(np.int32), (n,)) for m in self.modalities if self.with_lengths[m]]
        if split.ids is not None:                                            # last: bytes would put numbers out of alignment
            planned.append(Planned("ids", np.dtype(np.uint8), ids_as_bytes(split.ids).shape))
        return planned


def ids_as_bytes(ids: List[str]) -> np.ndarray:
    """[N, L] the UTF-8 of each id, with zero bytes behind it."""
    encoded = [name.encode("utf-8") for name in ids]
    out = np.zeros((len(ids), max(map(len, encoded))), np.uint8)
    for row, text in zip(out, encoded):
        row[:len(text)] = np.frombuffer(text, np.uint8)
    return out


def write_dataset(plan: Plan, output: str, force: bool, workspace: Workspace) -> Dict[str, Any]:
    """Writes all splits to a directory, or the one of a source without splits to a file: under temporary names, which then
    become those wanted. Returns a summary of what was written."""
    output, one_file = os.path.abspath(output), list(plan.source.splits) == [ALL]
    if os.path.lexists(output) and os.path.isdir(output) == one_file:
        raise OutputError(f"{output}: there is a {'directory' if one_file else 'file'} of this name", CANNOT_CREATE)
    if os.path.lexists(output) and (one_file or os.listdir(output)) and not force:
        raise OutputError(f"{output}: there is something in it already; --force replaces it", CANNOT_CREATE)
    parent = os.path.dirname(output)
    try:
        os.makedirs(parent, exist_ok=True)
        room = shutil.disk_usage(parent).free
        if plan.bytes > room:
            raise OutputError(f"{output}: needs {plan.bytes >> 20} MiB, and {room >> 20} are free", CANNOT_WRITE)
    except OSError as error:
        raise OutputError(f"{output}: can't create it: {error.strerror}", CANNOT_CREATE)
    progress = Progress(plan.bytes)
    try:
        with durable.beside(output) as temporary:
            splits = {name: _write_split(plan, name, os.path.join(temporary, name + ".safetensors"), progress, workspace)
                      for name in plan.source.splits}
            if one_file:
                durable.put(os.path.join(temporary, ALL + ".safetensors"), output)
            else:
                durable.put_directory(temporary, output)
    finally:
        progress.close()
    return splits


def _write_split(plan: Plan, name: str, path: str, progress: Progress, workspace: Workspace) -> Dict[str, Any]:
    split = plan.source.splits[name]
    metadata = {"source": os.path.basename(plan.source.path.rstrip("/"))}
    if split.labels is not None:
        metadata["label_names"] = ",".join(plan.source.label_names)
    if tuple(plan.modalities) != MODALITIES:
        metadata["modalities"] = ",".join(plan.modalities)
    writer = SafetensorsWriter(path, plan.tensors(split), metadata)
    summary: Dict[str, Any] = {"samples": split.count, "modalities": {}}
    for m in plan.modalities:
        sequences, steps = split.modalities[m], plan.steps[m]
        repairs = Repairs(cut=0 if plan.rule.infer else int((sequences.lengths() > steps).sum()))
        read_steps = max(steps, sequences.steps) if plan.rule.infer else steps   # padding at the front is not what is cut
        rows = max(1, PORTION // (read_steps * sequences.features * 4))
        all_lengths = []
        for start in range(0, sequences.count, rows):
            stop = min(start + rows, sequences.count)
            features, lengths = sequences.read(start, stop, read_steps)
            if not features.flags.writeable:
                features = features.copy()
            mend(features, m, repairs)
            if plan.rule.infer:
                features, lengths = infer_lengths(features, plan.rule.padding, repairs)
                repairs.cut += int((lengths > steps).sum())
                features, lengths = features[:, :steps], np.minimum(lengths, steps)
            writer.write(m, start, features)
            all_lengths.append(usable_lengths(lengths, steps, repairs))
            progress.advance(features.nbytes, f"{name} {m}")
            workspace.release()
        lengths = np.concatenate(all_lengths)
        summary["modalities"][m] = {"shape": [sequences.count, steps, sequences.features], "repairs": repairs.as_dict()}
        if plan.with_lengths[m]:
            writer.write(f"{m}_length", 0, lengths)
            summary["modalities"][m]["lengths"] = {
                "min": int(lengths.min()), "mean": round(float(lengths.mean()), 2), "max": int(lengths.max())}
    if split.labels is not None:
        writer.write("labels", 0, split.labels)
    if split.ids is not None:
        writer.write("ids", 0, ids_as_bytes(split.ids))
    writer.close()
    summary["ids"] = split.ids is not None
    if split.labels is not None:
        summary["labels"] = {n: int(k) for n, k in zip(plan.source.label_names, split.labels.sum(0))}
        summary["without_labels"] = int((split.labels.sum(1) == 0).sum())
    return summary
