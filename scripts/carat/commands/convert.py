"""Turns data sets as people have them into a data set directory for `train run --data`. docs/DATA.md tells each kind."""
import json
import os
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..errors import FormatError, UsageError, one_line
from ..formats import FORMATS, MODALITIES
from ..program import Parser, need, result

# What --keys names besides modalities, and their lengths.
_OTHER_ROLES = ("labels", "id", "sentiment")


def numbers(text: str) -> Tuple[int, ...]:
    found = tuple(int(n) for n in text.split(","))
    if min(found) < 1:
        raise ValueError
    return found


def shares(text: str) -> Tuple[float, float, float]:
    train, valid, test = (float(n) for n in text.split(","))
    if not min(train, valid, test) > 0 or abs(train + valid + test - 1) > 1e-6:
        raise ValueError
    return train, valid, test


def names(text: str) -> List[str]:
    found = [n.strip() for n in text.split(",")]
    if "" in found or len(set(found)) != len(found):
        raise ValueError
    return found


def keys(text: str) -> Dict[str, str]:
    pairs = [part.split("=", 1) for part in text.split(",")]
    found = {role.strip(): name.strip() for role, name in pairs}
    if "" in (*found, *found.values()) or len(found) != len(pairs):
        raise ValueError
    return found


numbers.__name__ = "numbers of steps (text,visual,audio)"
shares.__name__ = "shares of train, valid and test that add up to 1"
names.__name__ = "list of different names"
keys.__name__ = "list of names (text=glove,audio=covarep)"


def parser() -> Parser:
    p = Parser(description=__doc__, epilog="Exit status: 0 done; 64 wrong usage; 65 wrong data; 73 the "
               "output can't be created, or is there already; 74 it can't be written.")
    p.add_argument("input", nargs="+", help="a pickle, torch, npz or csd file, or a directory of csd files or with a file a "
                   "split; a second file may hold the labels")
    p.add_argument("-o", "--output", required=True, metavar="DIRECTORY",
                   help="the data set directory to write; or NAME.safetensors, a file of samples for prediction, with or without "
                   "labels")
    p.add_argument("--format", choices=FORMATS, help="what the input is, if it is not recognised")
    p.add_argument("--keys", type=keys, default={}, metavar="ROLE=NAME,…", help="what the file calls its modalities, labels, "
                   "id or text_length; for csd the file or sequence: --keys text=glove,visual=facet,audio=covarep")
    p.add_argument("--modalities", type=names, metavar="NAME,…",
                   help="the modalities (default: text, visual, audio, and others that --keys names)")
    p.add_argument("--labels", metavar="FILE",
                   help="labels from another file: CSV, TSV, csd, or one with splits; paired by id")
    p.add_argument("--label-names", type=names, metavar="NAME,…",
                   help="the labels' names in the order of their columns or numbers; a column called sentiment is no label "
                   "(default: the file's; of six happy,sad,anger,surprise,disgust,fear; else label0,label1,…)")
    p.add_argument("--threshold", type=float, metavar="X",
                   help="a label is present where its intensity is above this (default 0)")
    p.add_argument("--one-hot", action="store_true", help="labels are classes, one a sample: numbers 0, 1, … or names")
    p.add_argument("--sentiment-classes", type=int, choices=(2, 3, 7), help="labels are classes of the sentiment")
    p.add_argument("--split", type=shares, metavar="A,B,C",
                   help="split a file without splits at random, clips of a video together: 0.8,0.1,0.1")
    p.add_argument("--seed", type=int, help="for --split (default 0)")
    p.add_argument("--ids", choices=("keep", "number", "none"), default="keep",
                   help="number: ids name videos, number the clips of each; none: the file's ids name no samples (default keep)")
    p.add_argument("--mixed-features", choices=("leave-out", "cut"),
                   help="where samples differ in their number of features, leave out those that have another than most, or cut "
                   "all to the fewest")
    p.add_argument("--max-steps", type=numbers, metavar="T,T,T", help="cut the sequences of each modality to as many steps")
    p.add_argument("--infer-lengths", action="store_true", help="steps that are all zero at the end are padding")
    p.add_argument("--padding", choices=("end", "front"),
                   help="where padding is; from the front it is moved to the end (default: where the file's lengths show it is; "
                   "end for --infer-lengths)")
    p.add_argument("--no-lengths", action="store_true", help="write no lengths: every step counts, as in the released code")
    p.add_argument("--folds", metavar="FILE", help="csd: which video is in which split")
    p.add_argument("--align", choices=("none", "words"), default="none",
                   help="csd: words averages visual and audio over each word of the text")
    p.add_argument("--force", action="store_true", help="replace the files of an earlier data set")
    p.add_argument("--json", action="store_true", help="print the summary as JSON")
    return p


def modalities_of(given: Optional[List[str]], roles: Dict[str, str]) -> Tuple[str, ...]:
    """Those to convert, in their order."""
    others = [r for r in roles if r not in _OTHER_ROLES and not r.endswith("_length")]
    chosen = tuple(given or dict.fromkeys([*MODALITIES, *others]))
    for name in chosen:
        if name in (*_OTHER_ROLES, "ids", "__metadata__") or name.endswith("_length"):
            raise UsageError(f"no modality can be called '{name}'")
    for role in (*others, *(r[:-len("_length")] for r in roles if r.endswith("_length"))):
        if role not in chosen:
            raise UsageError(f"--keys names {role}, which is not among the modalities {', '.join(chosen)}")
    return chosen


def main(arguments: Optional[Sequence[str]] = None) -> None:
    a = parser().parse_args(arguments)
    if a.no_lengths and a.infer_lengths:
        raise UsageError("--no-lengths and --infer-lengths contradict each other")
    if a.one_hot and a.sentiment_classes is not None:
        raise UsageError("--one-hot and --sentiment-classes contradict each other")
    if a.seed is not None and a.split is None:
        raise UsageError("--seed is for --split")
    one_file = a.output.endswith(".safetensors")
    if one_file and (a.split is not None or a.folds is not None):
        raise UsageError("--split and --folds make three files: give a directory as the output")
    need("numpy")
    from ..formats.dataset import Options
    from ..formats.dataset_writer import LengthRule, Plan, write_dataset
    from ..formats.mapped import Workspace
    from ..formats.preparation import prepare
    from ..formats.sources.opening import open_dataset
    modalities = modalities_of(a.modalities, a.keys)
    if a.max_steps is not None and len(a.max_steps) != len(modalities):
        raise UsageError(f"--max-steps needs a number for each of {', '.join(modalities)}")
    started = time.monotonic()
    options = Options(labels=a.labels, label_names=a.label_names, threshold=a.threshold, one_hot=a.one_hot,
                      sentiment_classes=a.sentiment_classes, keys=a.keys, modalities=modalities, max_steps=a.max_steps,
                      mixed_features=a.mixed_features, ids=a.ids, split=a.split, seed=a.seed or 0, one_file=one_file,
                      padding=a.padding, folds=a.folds, align=a.align)
    for name in (a.labels, a.folds):
        if name is not None and not os.path.exists(name):
            raise FormatError(name, "a file", "none", "check the path")
    parent = os.path.dirname(os.path.abspath(a.output))
    workspace = Workspace(parent if os.path.isdir(parent) else None)
    source = open_dataset(a.input, options, workspace, a.format)
    if a.padding is not None and not a.infer_lengths and all(
            sequences.edges() is None for split in source.splits.values() for sequences in split.modalities.values()):
        raise UsageError(f"{source.path} does not say how long its sequences are: --padding is for --infer-lengths then")
    prepare(source, options)
    plan = Plan(source, a.max_steps, LengthRule(not a.no_lengths, a.infer_lengths, a.padding or "end"))
    splits = write_dataset(plan, a.output, a.force, workspace)
    summary = {"output": a.output, "format": source.format, "label_names": source.label_names, "splits": splits,
               "notes": source.notes, "seconds": round(time.monotonic() - started, 2)}
    if a.json:
        result(json.dumps(summary, ensure_ascii=False))
    else:
        print_summary(summary)


def print_summary(summary: Dict[str, Any]) -> None:
    lines: List[str] = [f"{summary['output']}: read as {summary['format']}, written in {summary['seconds']} s"]
    for name, split in summary["splits"].items():
        lines.append(f"{name}: {split['samples']} samples")
        if "labels" in split:
            lines[-1] += f", {split['without_labels']} of them without a label; " + ", ".join(
                f"{label} {count}" for label, count in split["labels"].items())
        for m, facts in split["modalities"].items():
            n, steps, features = facts["shape"]
            line = f"  {m}: {steps} steps of {features} features"
            if "lengths" in facts:
                line += ", lengths {min} to {max}, mean {mean}".format(**facts["lengths"])
            lines.append(line + "".join(f"; {REPAIRS[r].format(k)}" for r, k in facts["repairs"].items()))
    result(one_line("\0".join(lines + summary["notes"])).replace("\\u{0}", "\n"))


REPAIRS = {
    "nan": "{} NaN made 0", "positive_infinity": "{} +inf made 0", "negative_infinity": "{} -inf made 0",
    "silence": "{} -inf kept, read as 0", "cut": "{} samples cut", "lengths": "{} lengths mended",
    "zeros_first": "{} samples start with zeros: is this padding? then --padding front",
}
