"""What each part of CARAT contributes on a data set: trains the full model, and the model without one part, over some seeds.

  scripts/ablations --output runs/ablations --seeds 1-5 -- --data my_data
  scripts/ablations --list                                    the settings, as a file for scripts/sweep

Options after -- go to all runs. All other options are those of scripts/sweep: --jobs, --slurm, --table, --yes, … Each modality
of the data is left out too: of those that --modalities after -- names, or that the data set lists, or text, visual and audio.
"""

import argparse
import json
import os
import shlex
import subprocess

from ..command_line import split_arguments, value_of
from ..errors import one_line
from ..program import Parser, result
from . import sweep

# The weights of docs and `train run --help` whose defaults are not 0; that of --beta-mse-weight is 0.
WEIGHTS = ["plain-bce", "alpha-bce", "beta-bce", "contrastive", "reconstruction-mse", "alpha-mse", "aggregate-bce", "shuffled-bce"]
MODALITIES = ["text", "visual", "audio"]


def without(*weights):
    return [word for weight in weights for word in (f"--{weight}-weight", "0")]


def modalities(common):
    """The modalities that runs with these options have, in the model's order."""
    named, data = value_of("--modalities", common), value_of("--data", common)
    if named is None and data is not None:
        path = os.path.join(data, "train.safetensors")
        try:
            with open(path, "rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(min(size, 100_000_000)))
            named = header.get("__metadata__", {}).get("modalities")
        except OSError as error:
            sweep.fail(f"{path}: {error.strerror}; give the directory of a data set", 66)
        except (ValueError, AttributeError, RecursionError):
            sweep.fail(f"{path}: expected a safetensors file, found another; write it with scripts/convert", 65)
    return [name.strip() for name in named.split(",")] if named else MODALITIES


def settings(help_text, common):
    found = [
        ("full model", []),
        ("without contrastive loss", without("contrastive")),
        ("without reconstruction losses", without("reconstruction-mse", "alpha-mse")),
        # Alphas are still the way from latents to betas; what goes is all that is asked of them themselves.
        ("without losses of the alpha level", without("alpha-bce", "alpha-mse")),
        ("without shuffle", without("shuffled-bce")),
    ]
    present = [options for _, options in found]
    found += [(f"--{weight}-weight 0", without(weight)) for weight in WEIGHTS if without(weight) not in present]
    names = modalities(common)
    if "--modalities" in help_text and len(names) > 1:
        layers = (value_of("--layers", common) or "").split(",")
        for left_out in names:
            kept = [i for i, name in enumerate(names) if name != left_out]
            options = ["--modalities", ",".join(names[i] for i in kept)]
            if len(layers) == len(names):                                    # one encoder less
                options += ["--layers", ",".join(layers[i] for i in kept)]
            found.append((f"without {left_out}", options))
    return found


def main(_):
    own, common = split_arguments()
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sweep.add_options(parser, "runs/ablations")
    parser.add_argument("--list", action="store_true", help="show the settings, train nothing")
    arguments = parser.parse_args(own)
    try:
        help_text = subprocess.run([arguments.train, "run", "--help"], capture_output=True, text=True, encoding="utf-8",
                                   errors="replace").stdout
    except OSError as error:
        sweep.fail(f"{arguments.train}: {error.strerror}; build it: swift build -c release", 66)
    chosen = settings(help_text, common)
    if arguments.list:
        result("\n".join(one_line(f"{name} = {shlex.join(options)}".rstrip()) for name, options in chosen))
        return 0
    return sweep.run(chosen, arguments, common)
