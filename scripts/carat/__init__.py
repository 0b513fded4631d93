"""CARAT's trainer from Python: data sets of arrays, runs, predictions; and the tools around it (`carat --help`).

    data = carat.Dataset.from_arrays(text=text, visual=visual, audio=audio, labels=labels)
    run = carat.fit(data, output="runs/first", epochs=20, layers=(1, 1, 1))
    run.history, run.result["test"]["micro_f1"], run.predict(data)

All arithmetic is the program's `train`; docs/PYTHON.md.
"""
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import Dataset
    from .errors import ProgramError
    from .runs import Run, fit
    from .searching.from_python import SearchResult, search

__all__ = ["Dataset", "ProgramError", "Run", "SearchResult", "fit", "search"]

_PLACES = {"Dataset": "data", "ProgramError": "errors", "Run": "runs", "fit": "runs",
           "SearchResult": "searching.from_python", "search": "searching.from_python"}


def __getattr__(name: str) -> Any:
    """What is asked for is imported then: the help of a tool needs no NumPy."""
    if name not in _PLACES:
        raise AttributeError(f"module 'carat' has no attribute '{name}'")
    import importlib
    return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
