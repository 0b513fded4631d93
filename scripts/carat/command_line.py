"""Options of the trainer among the words of a command line."""
import sys
from typing import List, Optional, Sequence, Tuple


def split_arguments() -> Tuple[List[str], List[str]]:
    """This program's arguments before and after --: its own, and those of the trainer."""
    if "--" not in sys.argv:
        return sys.argv[1:], []
    at = sys.argv.index("--")
    return sys.argv[1:at], sys.argv[at + 1:]


def given(option: str, words: Sequence[str]) -> Optional[str]:
    """The word that gives an option, `--option` or `--option=value`; None without."""
    return next((w for w in words if w == option or w.startswith(option + "=")), None)


def value_of(option: str, words: Sequence[str]) -> Optional[str]:
    """The last value of an option, given as `--option value` or `--option=value`; None without."""
    found = None
    for i, word in enumerate(words):
        if word == option and i + 1 < len(words):
            found = words[i + 1]
        elif word.startswith(option + "="):
            found = word[len(option) + 1:]
    return found
