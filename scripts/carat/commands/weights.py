"""Turns a PyTorch state dict of CARAT into a safetensors file of weights, and such a file into a state dict that torch.load
reads. What is written follows from the output's name: .safetensors, or .pt, .pth or .bin. docs/DATA.md tells more."""
import os
from typing import Any, Dict, List, Optional, Sequence

from .. import durable
from ..errors import CANNOT_CREATE, OutputError, UsageError, one_line
from ..program import Parser, need, result

# What is written under a name that ends so.
KINDS = {".safetensors": "safetensors", ".pt": "torch", ".pth": "torch", ".bin": "torch"}


def three_numbers(text: str) -> List[int]:
    numbers = [int(n) for n in text.split(",")]
    if len(numbers) != 3 or min(numbers) < 1:
        raise ValueError
    return numbers


three_numbers.__name__ = "three numbers (text,visual,audio)"


def parser() -> Parser:
    p = Parser(description=__doc__, epilog="Exit status: 0 done; 64 wrong usage; 65 wrong data; 73 the "
               "output can't be created, or is there already; 74 it can't be written.")
    p.add_argument("input", help="a PyTorch state dict, or a safetensors file such as a run's best.safetensors")
    p.add_argument("output", help="the file to write: .safetensors, or for PyTorch .pt, .pth or .bin")
    p.add_argument("--positions", type=three_numbers, metavar="T,T,T",
                   help="keep the position embeddings of as many steps of text, visual and audio: those of your data")
    p.add_argument("--force", action="store_true", help="replace the output")
    return p


def main(arguments: Optional[Sequence[str]] = None) -> None:
    a = parser().parse_args(arguments)
    need("numpy", "safetensors")
    from ..formats import carat_weights, pickle_file, safetensors_file
    from ..formats.mapped import Workspace
    kind = KINDS.get(os.path.splitext(a.output)[1].lower())
    if kind is None:
        raise UsageError(f"{a.output}: expected {', '.join(KINDS)} at the end of the output's name, which says what to write; "
                         f"such as {a.output}.safetensors, or {a.output}.pt for PyTorch")
    if os.path.isdir(a.output):
        raise OutputError(f"{a.output}: there is a directory of this name", CANNOT_CREATE)
    if os.path.lexists(a.output) and not a.force:
        raise OutputError(f"{a.output}: is there already; --force replaces it", CANNOT_CREATE)
    workspace = Workspace()
    content = (safetensors_file.load(a.input, workspace)[0] if safetensors_file.is_safetensors(workspace.map(a.input))
               else pickle_file.load(a.input, workspace))
    tensors, notes = carat_weights.tensors_in(content, a.input)
    tensors, left_out = carat_weights.without_training_state(tensors)
    if left_out:
        notes.append(f"{left_out} tensors of the training's state left out")
    weights, more = carat_weights.as_weights(tensors, carat_weights.check(tensors, a.input), a.input)
    if a.positions:
        carat_weights.cut_positions(weights, a.positions, a.input)
    write(a.output, weights, to_torch=kind == "torch")
    sizes = carat_weights.sizes_of(weights, a.input)
    result(one_line(f"{a.output}: a {'PyTorch state dict' if kind == 'torch' else 'safetensors file'} of "
                    f"{len(weights)} tensors, {sum(w.size for w in weights.values())} numbers; "
                    f"--layers {','.join(str(n) for n in sizes.layers.values())} --hidden-size {sizes.hidden} "
                    f"--feed-forward-size {sizes.feed_forward} --latent-size {sizes.latent} --queue-size {sizes.queue}, "
                    f"{sizes.labels} labels, steps {','.join(str(n) for n in sizes.positions.values())}, "
                    f"features {','.join(str(n) for n in sizes.features.values())}"
                    + "".join(f"; {n}" for n in notes + more)))


def write(path: str, weights: Dict[str, Any], to_torch: bool) -> None:
    """The whole file or nothing."""
    from ..formats import safetensors_file, torch_file
    with durable.beside(path) as temporary:
        part = os.path.join(temporary, "weights")
        if to_torch:
            torch_file.write_state_dict(part, weights)
        else:
            safetensors_file.save(part, weights, {"format": "pt"})
        durable.put(part, path)
