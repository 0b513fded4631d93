"""Where the trainer is: what CARAT_TRAIN names, the one that came with this package, that of the checkout, or that on PATH."""
import os
import shutil
from typing import Optional

_HERE = os.path.dirname(os.path.abspath(__file__))


def checkout() -> Optional[str]:
    """The repository that this package lies in; None if it was installed from elsewhere."""
    root = os.path.dirname(os.path.dirname(_HERE))
    return root if os.path.isfile(os.path.join(root, "Package.swift")) else None


def scripts() -> Optional[str]:
    """The repository's scripts."""
    root = checkout()
    return None if root is None else os.path.join(root, "scripts")


def train() -> str:
    """The trainer's path; where there is none, where a build would put it."""
    named = os.environ.get("CARAT_TRAIN")
    if named:
        return named
    packaged = os.path.join(_HERE, "bin", "train")
    if os.path.isfile(packaged):
        return packaged
    root = checkout()
    built = os.path.join(root or "", ".build", "release", "train")
    if root is not None and os.path.isfile(built):
        return built
    return shutil.which("train") or built
