"""carat COMMAND …: the programs of this package."""
import importlib
import sys
from typing import Dict

from . import program
from .errors import UsageError

COMMANDS: Dict[str, str] = {
    "convert": "data sets as people have them, to a data set directory",
    "weights": "PyTorch weights to ours, and back",
    "launch": "a run on ranks, started again when ranks or hosts fail",
    "sweep": "settings × seeds, and a table of means and deviations",
    "search": "settings that do best, at random or on a grid, by Optuna",
    "ablations": "what each part of the model contributes",
    "report": "a page of finished runs to look at",
    "fit-scaling": "larger machines, predicted from what was measured and emulated",
    "plot-scaling": "figures of what train scale measured",
    "plot-trace": "a picture of a step's timeline",
}


def main(_: object = None) -> int:
    lines = ["usage: carat COMMAND …", "", *(f"  {name:<14}{what}" for name, what in COMMANDS.items()), "",
             "Each has --help."]
    if sys.argv[1:2] in (["-h"], ["--help"]):
        program.result("\n".join(lines))
        return 0
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    raise UsageError(f"expected one of {', '.join(COMMANDS)}, found {repr(name) if name else 'nothing'}; see carat --help")


def start() -> None:
    """The entry point."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        program.run("carat", main)
    del sys.argv[1]
    module = importlib.import_module(f"carat.commands.{name.replace('-', '_')}")
    program.run(f"carat {name}", module.main)


if __name__ == "__main__":
    start()
