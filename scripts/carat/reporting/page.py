"""The page: one HTML file that needs nothing else."""
import html
import json
import statistics
from typing import Any, List, Sequence

import numpy as np

from . import figures, latent_figures
from .judged_run import JudgedRun
from .latents import LEVEL, Latents

_METRICS = (("micro_f1", "micro-F1"), ("macro_f1", "macro-F1"), ("mAP", "mAP"), ("accuracy", "accuracy"),
            ("precision", "precision"), ("recall", "recall"))
_MOST_FAULTS = 20

_STYLE = """
:root { color-scheme: light dark; --ink: #1d1f21; --soft: #5d6470; --paper: #fff; --rule: #dde1e6 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e9; --soft: #9aa3ae; --paper: #15171a; --rule: #33383f } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 70rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--paper) }
h1 { font-size: 1.6rem; margin: 0 0 .2rem } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; border-bottom: 1px solid var(--rule) }
h3 { font-size: 1rem; margin: 1.5rem 0 .3rem } p { margin: .3rem 0 .8rem } .soft { color: var(--soft) }
.wide { overflow-x: auto } svg { display: block; width: 100%; height: auto; color: var(--ink) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap }
th:first-child, td:first-child { text-align: left } thead th { color: var(--soft); font-weight: 500;
  white-space: normal; vertical-align: bottom }
details { margin: .5rem 0 } pre { overflow-x: auto; font-size: .8rem } code { overflow-wrap: anywhere }
"""


def page(runs: Sequence[JudgedRun]) -> str:
    """All of it, of one run or several."""
    title = f"CARAT: {runs[0].name}" if len(runs) == 1 else f"CARAT: {len(runs)} runs"
    parts = [f"<h1>{_text(title)}</h1>", _comparison(runs), _section("Validation by epoch", figures.validation(runs),
             "The ring is the epoch whose weights were kept and tested."
             + (" Dashed: averaged weights." if any(r.get("weights") == "averaged" for run in runs for r in run.epochs) else ""))]
    if any(run.phases for run in runs):
        parts.append(_section("A step's time by phase", figures.phases(runs),
                              "“wait” is for other workers at the end of a phase, “between” what lies between two steps: batches, logs and "
                              "checkpoints; evaluations and what audits replay are not counted."
                              + "".join(f" {_text(run.name)} does not tell its." for run in runs if not run.phases)))
    for run in runs:
        parts.append(_one(run, several=len(runs) > 1))
    body = "\n".join(parts)
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width, initial-scale=1"><title>{_text(title)}</title><style>{_STYLE}</style></head>\n'
            f"<body>\n{body}\n</body></html>\n")


def _comparison(runs: Sequence[JudgedRun]) -> str:
    """A row a run; with several their mean, deviation, and a paired test against the first."""
    head = ["test split", *(label for _, label in _METRICS), "micro-F1, tuned", "best epoch", "s per step"]
    rows = []
    for run in runs:
        rows.append([run.name, *(_number(run.result["test"][key]) for key, _ in _METRICS), _number(run.evaluation["tuned"]["micro_f1"]),
                     str(run.result["best_epoch"]), f"{run.result['seconds_per_step']:.4f}"])
        kept = run.result.get("tuned")
        if kept:
            rows.append([f"{run.name}, kept thresholds", *(_number(kept["test"][key]) for key, _ in _METRICS), "", "", ""])
    if len(runs) > 1:
        columns = [[run.result["test"][key] for run in runs] for key, _ in _METRICS]
        columns.append([run.evaluation["tuned"]["micro_f1"] for run in runs])
        label = "mean, fixed thresholds" if any("tuned" in run.result for run in runs) else "mean"
        rows.append([label, *(_number(statistics.mean(c)) for c in columns), "", ""])
        rows.append(["± sd", *(_number(statistics.stdev(c)) for c in columns), "", ""])
    text = "Tuned thresholds: by label, on the validation split. " + _kept(runs) + _paired(runs)
    return _section("Results", _table(head, rows), text)


def _kept(runs: Sequence[JudgedRun]) -> str:
    """Which weights and thresholds a run's options chose."""
    told = []
    for run in runs:
        name = f"{_text(run.name)}: " if len(runs) > 1 else ""
        if "weights" in run.result:
            told.append(f"{name}{'tested' if name else 'Tested'} with {_text(run.result['weights'])} weights.")
        if "tuned" in run.result:
            how = {"label": "one a label", "global": "one for all labels"}.get(run.result["tuned"]["tuning"], run.result["tuned"]["tuning"])
            told.append(f"{name}{'thresholds' if name else 'Thresholds'} kept with the weights, {_text(how)}, are those that "
                        "<code>train predict</code> takes.")
    return " ".join(told) + (" " if told else "")


def _paired(runs: Sequence[JudgedRun]) -> str:
    """Of runs on the same test split, whether the other gets more labels right than the first: McNemar's exact test."""
    told = []
    for run in runs[1:]:
        first = runs[0]
        if run.truth.shape != first.truth.shape or (run.truth != first.truth).any():
            told.append(f"{_text(run.name)} was tested on other samples than {_text(first.name)}: they are not compared.")
            continue
        right = [(r.predicted == (r.truth > 0)).ravel() for r in (first, run)]
        only_first, only_other = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        p = exact_sign_test(only_first, only_other)
        told.append(f"{_text(run.name)} is right in {only_other} labels of samples where {_text(first.name)} is wrong, and the other way "
                    f"round in {only_first}: p = {p:.3g} by McNemar's exact test.")
    return " ".join(told)


def exact_sign_test(a: int, b: int) -> float:
    """The two-sided probability of a division at least as uneven as a : b, were both equally likely."""
    n, k = a + b, min(a, b)
    log_sums = np.cumsum(np.r_[0.0, np.log(np.arange(1, n + 1))])
    logs = log_sums[n] - log_sums[: k + 1] - log_sums[n - np.arange(k + 1)] - n * np.log(2)
    return float(min(1.0, 2 * np.exp(logs).sum()))


def _one(run: JudgedRun, several: bool) -> str:
    head = ["label", "support", "precision", "recall", "F1", "average precision", "tuned threshold", "F1 with it"]
    rows = [[a["name"], str(a["support"]), *(_number(a[k]) for k in ("precision", "recall", "f1", "average_precision")),
             _number(b["threshold"]), _number(b["f1"])]
            for a, b in zip(run.evaluation["labels"], run.evaluation["tuned"]["labels"])]
    result, config = run.result, run.config
    if "tuned" in result:
        head += ["kept threshold", "F1 with it"]
        kept = result["tuned"]
        rows = [[*row, _number(kept["thresholds"][row[0]]), _number(kept["test"]["label_f1"][row[0]])] for row in rows]
    facts = [f"{result['steps']} steps", f"{result['samples_per_second']:.1f} samples/s", _counted(result["workers"], "worker"),
             f"{result['ranks']} ranks" if result["ranks"] > 1 else "", f"peak {result['peak_mib']:.0f} MiB", f"seed {config['seed']}",
             "stopped early" if result.get("stopped_early") else ""]
    machine = [str(value) for value in (*result.get("environment", {}).values(), result.get("time")) if value]
    title = f"{run.name}: " if several else ""
    parts = [
        _section(f"{title}Labels of the test split", _table(head, rows),
                 f"Predicted where the score is above {run.thresholds[0]:.3g}."),
        _section(f"{title}Precision and recall", figures.precision_recall(run),
                 "A curve a label over all thresholds; the dot is the run's threshold, the diamond the tuned one."),
        _section(f"{title}Labels that come together", figures.co_occurrence(run),
                 "Of the samples that have the row's label, the share that have the column's."),
        _section(f"{title}Terms of the loss", figures.losses(run), "Unweighted, by step; “loss” is their weighted sum."),
        _latents(run, title),
        f"<h2>{_text(title)}Run</h2><p>{_text(', '.join(f for f in facts if f))}"
        f"<br>{_text(', '.join(machine))}<br>digest <code>{_text(result['digest'])}</code>"
        f"<br><span class=soft>{_text(run.path)}</span></p>{_audits(run)}"
        f"<details><summary>All settings (config.json)</summary><pre>{_text(_settings(config))}</pre></details>",
    ]
    return "\n".join(parts)


def _latents(run: JudgedRun, title: str) -> str:
    """Prototypes, latents and attention, or why there are none."""
    latents = run.latents
    if not isinstance(latents, Latents):
        return _section(f"{title}Latents and attention", "", f"Not here, for the program did not give them: {_text(latents)}.")
    count = len(latents.drawn)
    which = "all samples" if count == latents.count else f"{count} of {latents.count} samples, drawn with a fixed seed,"
    colours = ", ".join(f'<span style="color: {colour}">●</span>&nbsp;{name.replace(" ", "&nbsp;")}'
                        for colour, name in zip(figures.COLOURS, latent_figures.POLARITIES))
    parts = [
        _section(f"{title}Prototypes", latent_figures.prototypes(run, latents),
                 "Cosines between the labels' positive prototypes, moving averages of the plain latents of samples that have the label; at "
                 "the right each label's with its own negative one, of samples that have not."),
        _section(f"{title}Latents", latent_figures.overview(run, latents),
                 f"Unit latents of the {LEVEL} level, one a label and modality, of {which} of the test split, on their two principal axes."),
        '<p class="soft">The same, each label and modality on two principal axes of its own, which are told with their share of the variance: '
        f"{colours}. Diamonds are the prototypes, of plain latents; the positive one lies to the right of the negative and above it.</p>"
        f'<div class="wide">{latent_figures.polarities(run, latents)}</div>',
        f"<h2>{_text(title)}Attention over time</h2><p class=soft>For each label the test sample that has it and gets its highest score: "
        "the label's share of attention by time step, from 0, of each modality. The filled modality won the max-pooling. The dotted line "
        "is attention spread evenly.</p>",
    ]
    for label, example in zip(run.label_names, latents.examples):
        if example is None:
            parts.append(f"<h3>{_text(label)}</h3><p class=soft>No sample of the test split has it.</p>")
            continue
        name = f" ({_text(example.id)})" if example.id else ""
        winner = f"{_text(example.winner)} won" if example.winner else "the program did not tell which modality won"
        parts.append(f"<h3>{_text(label)}: sample {example.sample}{name}, score {example.score:.3f}; {winner}</h3>"
                     f'<div class="wide">{latent_figures.attention(run, example)}</div>')
    return "\n".join(parts)


def _audits(run: JudgedRun) -> str:
    """What was computed again, and each time that a core had computed otherwise than others."""
    audit, faults = run.result.get("audit"), run.events("fault")
    if audit is None and not faults:
        return "<p>No audits: no step was computed again on other cores.</p>"
    line = "Audits: " + (f"{_counted(audit['steps'], 'step')} computed again, {_counted(audit['faults'], 'fault')}." if audit else
                         f"{_counted(len(faults), 'fault')} before the run continued without.")
    keys = ("step", "stage", "tensor", "rank", "host", "cpu", "action")
    rows = [[str(fault.get(key, "")) for key in keys] for fault in faults[:_MOST_FAULTS]]
    more = f"<p class=soft>and {len(faults) - len(rows)} more in metrics.jsonl</p>" if len(faults) > len(rows) else ""
    table = f'<div class="wide">{_table(keys, rows)}</div>{more}' if rows else ""
    return f"<p>{line}</p>{table}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _settings(config: Any) -> str:
    return json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True)


def _section(title: str, content: str, text: str = "") -> str:
    note = f'<p class="soft">{text}</p>' if text else ""
    return f'<h2>{_text(title)}</h2>{note}<div class="wide">{content}</div>'


def _table(head: Sequence[str], rows: List[List[str]]) -> str:
    top = "".join(f"<th>{_text(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: float) -> str:
    return f"{value:.4f}"


def _text(text: str) -> str:
    return html.escape(text)
