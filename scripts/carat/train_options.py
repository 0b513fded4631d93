"""The options of `train run`, as the program itself lists them."""
import json
import subprocess
from typing import Dict, NamedTuple

from .errors import OutputError


class TrainOption(NamedTuple):
    """
    Attributes:
        name: without dashes.
        value: what the help calls its value, such as `n` or `rate`; of a flag its name.
    """
    name: str
    value: str
    is_flag: bool


def train_options(train: str) -> Dict[str, TrainOption]:
    """Options by each of their names.

    Raises:
        OutputError: if the program doesn't tell them.
    """
    done = subprocess.run([train, "--experimental-dump-help"], capture_output=True, text=True, encoding="utf-8", errors="replace")
    try:
        commands = json.loads(done.stdout)["command"]["subcommands"]
        arguments = next(c for c in commands if c["commandName"] == "run")["arguments"]
        return {n["name"]: TrainOption(a["preferredName"]["name"], a["valueName"], a["kind"] == "flag")
                for a in arguments for n in a["names"]}
    except (ValueError, KeyError, TypeError, StopIteration):
        raise OutputError(f"{train}: expected a trainer that lists its options, found one that does not; build it: swift build -c release", 66)
