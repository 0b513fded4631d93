"""Which video belongs to which split, from a file: JSON, a directory of lists, or the SDK's Python file, not run."""
import ast
import json
import os
from typing import Dict, List

from ...errors import FormatError
from ..dataset import SPLIT_NAMES, SPLITS
from ..mapped import refuse_stand_in

_REMEDY = "give JSON {\"train\": [...], \"valid\": [...], \"test\": [...]}, a directory with train.txt, valid.txt, test.txt, " \
          "or the SDK's cmu_mosei_std_folds.py"


def read(path: str) -> Dict[str, str]:
    """The split of each video."""
    try:
        lists = _directory(path) if os.path.isdir(path) else _file(path)
    except (OSError, UnicodeDecodeError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise FormatError(path, "lists of videos", str(error), _REMEDY)
    splits: Dict[str, str] = {}
    for split in SPLITS:
        if not lists.get(split):
            raise FormatError(path, f"videos of split {split}", "none", _REMEDY)
        for video in lists[split]:
            if splits.setdefault(video, split) != split:
                raise FormatError(path, "every video in one split", f"'{video}' in {splits[video]} and {split}", _REMEDY)
    return splits


def _directory(path: str) -> Dict[str, List[str]]:
    lists: Dict[str, List[str]] = {}
    for split in SPLITS:
        for name in SPLIT_NAMES[split]:
            file = os.path.join(path, name + ".txt")
            if os.path.exists(file):
                with open(file, encoding="utf-8") as lines:
                    lists[split] = [line.strip() for line in lines if line.strip()]
    return lists


def _file(path: str) -> Dict[str, List[str]]:
    refuse_stand_in(path)
    with open(path, encoding="utf-8") as file:
        text = file.read(1 << 24)
    if not path.endswith(".py"):
        found = json.loads(text)
    else:                                                                    # standard_train_fold = ['…', …]
        found = {}
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id.replace("standard_", "").replace("_fold", "")
                if name in {n for names in SPLIT_NAMES.values() for n in names}:
                    found[name] = ast.literal_eval(statement.value)
    if not isinstance(found, dict):
        raise ValueError("no lists by split")
    return {split: [str(video) for video in found[name]]
            for split in SPLITS for name in SPLIT_NAMES[split] if isinstance(found.get(name), (list, tuple))}
