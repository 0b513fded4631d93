"""Takes the trainer into the wheel, where CARAT_WHEEL_PREFIX names a directory as scripts/build-portable makes it, and
CARAT_WHEEL_PLATFORM the machines that it runs on. Without them the wheel is of Python only, for any machine."""
import os
from typing import Any, Dict

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        prefix = os.environ.get("CARAT_WHEEL_PREFIX")
        if not prefix:
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['CARAT_WHEEL_PLATFORM']}"
        files = ["bin/train"]
        # A wheel is for one machine: the programs for ranks would double its size.
        files += [f"libexec/carat/{name}" for name in os.listdir(os.path.join(prefix, "libexec/carat")) if not name.endswith("-openmpi")]
        for name in files:
            build_data["force_include"][os.path.join(prefix, name)] = f"carat/{name}"
        build_data["force_include"][os.path.join(prefix, "share/doc/carat/licences")] = "carat/licences"
