"""What a search found: search.csv, best.json, and a table for people."""
import json
import os
from typing import Any, Dict, List, Sequence

from optuna.trial import FrozenTrial, TrialState

from .. import durable, tables
from ..errors import one_line
from .plan import METRICS, Plan
from .study import Study

CSV, BEST = "search.csv", "best.json"
# Trials that are shown.
_SHOWN = 20
_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "stopped", TrialState.FAIL: "failed", TrialState.RUNNING: "unfinished"}


def write(study: Study) -> None:
    """Replaces both files; best.json only where a trial came to its end."""
    plan = study.plan
    head = ["trial", "state", "epochs", "best_epoch", *plan.space, f"best_valid_{plan.metric}",
            *(f"{split}_{m}" for split in ("valid", "test") for m in METRICS), "failure"]
    rows: List[Sequence[Any]] = [head]
    for trial in study.trials():
        told = trial.user_attrs
        measured = [told.get(split, {}).get(m, "") for split in ("valid", "test") for m in METRICS]
        rows.append([trial.number, _STATES[trial.state], trial.last_step or 0, told.get("best_epoch", ""),
                     *(trial.params[name] for name in plan.space), _best(trial), *measured, told.get("failure", "")])
    durable.write(os.path.join(plan.output, CSV), tables.as_csv(rows))
    complete = study.complete()
    if complete:
        best = complete[0]
        durable.write(os.path.join(plan.output, BEST), json.dumps({
            "trial": best.number, "metric": plan.metric, "settings": _in_order(best, plan), "best_epoch": best.user_attrs["best_epoch"],
            "valid": best.user_attrs["valid"], "test": best.user_attrs["test"],
            "directory": os.path.basename(plan.directory(best.number)), "options": plan.run_options(_in_order(best, plan))},
            indent=2) + "\n")


def table(study: Study) -> str:
    """The best trials first; then those that were stopped, those that failed, those that are unfinished."""
    plan = study.plan
    rows = [["trial", "state", "epoch", *plan.space, f"valid {plan.metric}", f"test {plan.metric}"]]
    others = [t for t in study.trials() if t.state != TrialState.COMPLETE]
    others.sort(key=lambda t: (list(_STATES).index(t.state), -(_best(t) or 0), t.number))
    trials = [*study.complete(), *others]
    for trial in trials[:_SHOWN]:
        told = trial.user_attrs
        rows.append([str(trial.number), _STATES[trial.state], str(told.get("best_epoch", trial.last_step or "")),
                     *(shown(trial.params[name]) for name in plan.space), *(
                         f"{v:.4f}" if isinstance(v, float) else "" for v in (_best(trial), told.get("test", {}).get(plan.metric)))])
    more = f"and {len(trials) - _SHOWN} more in {os.path.join(plan.output, CSV)}\n" if len(trials) > _SHOWN else ""
    return one_lines(tables.as_text(rows)) + more


def one_lines(text: str) -> str:
    return "".join(one_line(line) + "\n" for line in text.splitlines())


def _best(trial: FrozenTrial) -> Any:
    """The metric of the best epoch on the validation split; "" before the first."""
    return max(trial.intermediate_values.values(), default="")


def _in_order(trial: FrozenTrial, plan: Plan) -> Dict[str, Any]:
    return {name: trial.params[name] for name in plan.space}


def shown(value: Any) -> str:
    """A setting, short enough for a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
