"""The names and shapes of CARAT's weights: those of the PyTorch model's state_dict, which the released code shares.

D hidden size, I feed-forward size, C labels, P latent size, Q queue rows, F features of a step.
"""
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import FormatError
from .dataset import MODALITIES

FUSIONS = ("tv2a", "ta2v", "va2t")
ALIGNMENTS = {"audio": "a2t_ctc", "visual": "v2t_ctc"}
# What a checkpoint of this project's trainer, or a training script, has beside the model's weights.
_TRAINING_STATE = re.compile(r"(first_moment|second_moment|key|best)\..+|step|header_sha256")
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "weights")
# What DataParallel, AveragedModel, torch.compile and a class around the model put before names, in any order.
_PREFIXES = ("module", "_orig_mod", "model", "net")
_REMEDY = "check that these are the weights of a CARAT model"

Shape = Tuple[int, ...]


class Sizes(NamedTuple):
    """The sizes that a set of weights implies."""
    hidden: int
    feed_forward: int
    labels: int
    latent: int
    queue: int
    layers: Dict[str, int]
    features: Dict[str, int]
    positions: Dict[str, int]
    aligned_length: Optional[int]


def tensors_in(content: Any, path: str) -> Tuple[Dict[str, Any], List[str]]:
    """The tensors of a state dict by our names, and a line for each thing that was done to get there."""
    notes: List[str] = []
    while isinstance(content, dict):
        wrapper = next((w for w in _WRAPPERS if isinstance(content.get(w), dict)), None)
        if wrapper is None:
            break
        beside = [str(k) for k in content if k != wrapper]
        notes.append(f"took the entry '{wrapper}'" + (f" and left {_some(beside)}" if beside else ""))
        content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(k, str) for k in content):
        raise FormatError(path, "a state_dict: tensors by name", type(content).__name__,
                          "save the model with torch.save(model.state_dict(), …)")
    found: Dict[str, Any] = {}
    prefixes: Dict[str, None] = {}
    layer_norms = False
    for key, value in content.items():
        parts = key.split(".")
        name = ".".join(p for p in parts if p not in _PREFIXES)
        prefixes.update((p, None) for p in parts if p in _PREFIXES)
        old = re.fullmatch(r"(.*(?:LayerNorm|norm2d))\.(gamma|beta)", name)
        if old:
            name = f"{old[1]}.{'weight' if old[2] == 'gamma' else 'bias'}"
            layer_norms = True
        if name in found:
            raise FormatError(path, "every name once", f"'{name}' twice", _REMEDY)
        if not isinstance(value, np.ndarray):
            raise FormatError(path, f"a tensor '{key}'", type(value).__name__, _REMEDY)
        found[name] = value
    if found.pop("n_averaged", None) is not None:
        notes.append("these are averaged weights; n_averaged left out")
    if prefixes:
        notes.append(f"{' and '.join(repr(p + '.') for p in prefixes)} taken from the names")
    if layer_norms:
        notes.append("gamma and beta of LayerNorms called weight and bias")
    return found, notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", … ({len(names)} in all)" if len(names) > 6 else "")


def without_training_state(tensors: Dict[str, Any]) -> Tuple[Dict[str, Any], int]:
    """The weights alone, and how many tensors of an optimiser and the like were left out."""
    weights = {n: t for n, t in tensors.items() if not _TRAINING_STATE.fullmatch(n)}
    return weights, len(tensors) - len(weights)


def sizes_of(tensors: Dict[str, Any], path: str) -> Sizes:
    """What some of the tensors say of the model."""

    def shape(name: str, dimensions: int) -> Shape:
        tensor = tensors.get(name)
        if tensor is None or len(tensor.shape) != dimensions:
            found = (f"shape {tuple(tensor.shape)}" if tensor is not None else
                     f"none: the file has {_some(list(tensors)) or 'no tensor'}")
            raise FormatError(path, f"a tensor '{name}' of {dimensions} dimensions", found, _REMEDY)
        return tuple(tensor.shape)

    labels, hidden = shape("text_clf_weight", 2)
    queue, latent = shape("queue", 2)
    layers: Dict[str, int] = {}
    for m in MODALITIES:
        numbers = {int(match[1]) for n in tensors for match in [re.match(m + r"\.encoder\.layer\.(\d{1,4})\.", n)] if match}
        layers[m] = max(numbers, default=-1) + 1
    recurrent = tensors.get("a2t_ctc.pred_output_position_inclu_blank.weight_hh_l0")
    return Sizes(
        hidden, shape("text.encoder.layer.0.intermediate.dense.weight", 2)[0] if layers["text"] else hidden, labels, latent,
        queue, layers, {m: shape(f"{m}.embeddings.word_embeddings.weight", 2)[1] for m in MODALITIES},
        {m: shape(f"{m}.embeddings.position_embeddings.weight", 2)[0] for m in MODALITIES},
        None if recurrent is None or len(recurrent.shape) != 2 else recurrent.shape[1] - 1)


def expected(s: Sizes) -> Dict[str, Shape]:
    """Every tensor of a model of these sizes, in the order of PyTorch's state_dict."""
    d, p, c = s.hidden, s.latent, s.labels
    out: Dict[str, Shape] = {f"{m}_clf_weight": (c, d) for m in MODALITIES}
    out.update({f"{m}_{sign}_protos": (c, p) for m in MODALITIES for sign in ("pos", "neg")})
    out.update({"queue": (s.queue, p), "queue_label": (s.queue, 1), "queue_ptr": (1,)})

    def linear(name: str, inputs: int, outputs: int) -> None:
        out[name + ".weight"], out[name + ".bias"] = (outputs, inputs), (outputs,)

    def norm(name: str, size: int) -> None:
        out[name + ".weight"], out[name + ".bias"] = (size,), (size,)

    def mlp(name: str, sizes: Sequence[int]) -> None:
        for i, (inputs, outputs) in enumerate(zip(sizes[:-2], sizes[1:-1])):
            linear(f"{name}.linear.{i}", inputs, outputs)
        linear(name + ".output", sizes[-2], sizes[-1])

    for m in MODALITIES:
        linear(f"{m}.embeddings.word_embeddings", s.features[m], d)
        out[f"{m}.embeddings.position_embeddings.weight"] = (s.positions[m], d)
        norm(f"{m}.embeddings.LayerNorm", d)
        for layer in range(s.layers[m]):
            at = f"{m}.encoder.layer.{layer}"
            for part in ("query", "key", "value"):
                linear(f"{at}.attention.self.{part}", d, d)
            linear(f"{at}.attention.output.dense", d, d)
            norm(f"{at}.attention.output.LayerNorm", d)
            linear(f"{at}.intermediate.dense", d, s.feed_forward)
            linear(f"{at}.output.dense", s.feed_forward, d)
            norm(f"{at}.output.LayerNorm", d)
        linear(f"{m}.pooler.dense", d, d)
    for m in MODALITIES:
        norm(f"{m}_norm.norm2d", s.features[m])
    for m in MODALITIES:
        out[f"{m}_attention.attention.weight"] = (c, d)
    for m in MODALITIES:
        mlp(f"proj_{m}", (d, d // 2, p))
    for m in MODALITIES:
        mlp(f"de_proj_{m}", (p, d // 2, d))
    for fusion in FUSIONS:
        mlp(fusion, (3 * d, d))
    mlp("agg", (d * c, d, c))
    if s.aligned_length is not None:                                         # two LSTMs, for unaligned data
        h = s.aligned_length + 1
        for m, name in ALIGNMENTS.items():
            for layer, inputs in enumerate((s.features[m], h)):
                at = f"{name}.pred_output_position_inclu_blank."
                out[f"{at}weight_ih_l{layer}"], out[f"{at}weight_hh_l{layer}"] = (4 * h, inputs), (4 * h, h)
                out[f"{at}bias_ih_l{layer}"], out[f"{at}bias_hh_l{layer}"] = (4 * h,), (4 * h,)
    return out


def check(tensors: Dict[str, Any], path: str) -> Dict[str, Shape]:
    """The names and shapes a model must have, after checking that these are they; all that differs in one line."""
    sizes = sizes_of(tensors, path)
    wanted = expected(sizes)
    missing = [n for n in wanted if n not in tensors]
    unexpected = [n for n in tensors if n not in wanted]
    misshapen = [f"{n} {tuple(tensors[n].shape)} instead of {wanted[n]}" for n in wanted
                 if n in tensors and tuple(tensors[n].shape) != wanted[n]]
    differences = [f"{len(names)} {what}: {_some(names)}"
                   for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
                   if names]
    if differences:
        raise FormatError(path, f"the {len(wanted)} tensors of a CARAT model with layers "
                          f"{','.join(str(n) for n in sizes.layers.values())}, hidden size {sizes.hidden}, {sizes.labels} labels",
                          f"{len(tensors)}, {'; '.join(differences)}", _REMEDY)
    return wanted


def as_weights(tensors: Dict[str, Any], wanted: Dict[str, Shape], path: str) -> Tuple[Dict[str, np.ndarray], List[str]]:
    """float32 arrays (queue_ptr: int64) in the order of `wanted`; queue labels that are none become −1, an empty row."""
    out: Dict[str, np.ndarray] = {}
    notes: List[str] = []
    for name in wanted:
        array = tensors[name]
        if name == "queue_ptr":
            out[name] = array.astype(np.int64)
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            out[name] = array.astype(np.float32)
        if not np.isfinite(out[name]).all():
            raise FormatError(path, f"finite numbers in '{name}'", "others", "use weights of a run that did not diverge")
    classes = 6 * wanted["text_clf_weight"][0]
    label = out["queue_label"]
    # The released code starts with random numbers for labels, which are overwritten as the queue fills.
    random = ~((label == np.rint(label)) & (label >= -1) & (label < classes))
    if random.any():
        label[random] = -1
        notes.append(f"{int(random.sum())} rows of the queue were never filled: emptied")
    pointer, rows = int(out["queue_ptr"][0]), wanted["queue"][0]
    if not 0 <= pointer < max(rows, 1):
        raise FormatError(path, f"queue_ptr from 0 to {max(rows, 1) - 1}", f"{pointer}", _REMEDY)
    return out, notes


def cut_positions(weights: Dict[str, np.ndarray], steps: Sequence[int], path: str) -> None:
    """Keeps the position embeddings of as many steps as the data have; further ones take no part in their scores."""
    for m, count in zip(MODALITIES, steps):
        name = f"{m}.embeddings.position_embeddings.weight"
        if count > len(weights[name]):
            raise FormatError(path, f"at least {count} positions of {m}", f"{len(weights[name])}",
                              "give --positions no greater")
        weights[name] = weights[name][:count]
