"""Record a few training steps of the reference, for the trainer to replay: python3 make_golden.py OUT.safetensors [--unaligned] [--seed S] ...

The file's tensors (all float32, permutations int32; GOLDEN.md tells the same in prose):
  initial.NAME                 every parameter and buffer before step 0, under its state_dict name
  stepK.text|visual|audio      inputs [B, T, F];  stepK.text_mask|visual_mask|audio_mask [B, T];  stepK.labels [B, C]
  stepK.sample_permutation, stepK.modality_permutation   [B, M, C]
  stepK.term.TERM, stepK.loss  unweighted loss terms and the weighted total, shape []
  stepK.scores                 [B, C]
  stepK.gradient.NAME          gradient before any clipping; poolers have none
  final.NAME                   every parameter and buffer after the last step
  eval.scores                  scores of the last batch in evaluation mode, after the last step
The metadata's `config` is a JSON object with the reference's Config and the optimiser's lr, warmup, total.
"""
import argparse
import copy as pycopy
import dataclasses
import json

import numpy as np
import torch

import carat_reference as R
import tensors

p = argparse.ArgumentParser()
p.add_argument("out")
p.add_argument("--unaligned", action="store_true")
p.add_argument("--ragged", action="store_true", help="masks that end early")
p.add_argument("--anchors", default="all")
p.add_argument("--queue-keys", default="live")
p.add_argument("--key-momentum", type=float, default=0.9)
p.add_argument("--seed", type=int, default=1)
p.add_argument("--steps", type=int, default=3)
p.add_argument("--batch", type=int, default=6)
p.add_argument("--labels", type=int, default=6)
p.add_argument("--hidden", type=int, default=32)
p.add_argument("--heads", type=int, default=4)
p.add_argument("--intermediate", type=int, default=48)
p.add_argument("--latent", type=int, default=16)
p.add_argument("--queue", type=int, default=500)
p.add_argument("--layers", type=int, nargs=3, default=(2, 1, 1))
p.add_argument("--features", type=int, nargs=3, default=(20, 7, 11))
p.add_argument("--length", type=int, default=10)
p.add_argument("--raw-length", type=int, default=25, help="with --unaligned: visual and audio steps before alignment to --length")
a = p.parse_args()

torch.manual_seed(a.seed)
rng = np.random.default_rng(a.seed)
long = a.raw_length if a.unaligned else a.length
config = R.Config(feature_sizes=tuple(a.features), max_positions=(a.length, long + 5, long + 5), layers=tuple(a.layers), hidden=a.hidden,
                  heads=a.heads, intermediate=a.intermediate, labels=a.labels, latent=a.latent, queue=a.queue, dropout=0.0,
                  aligned=not a.unaligned, aligned_length=a.length, anchors=a.anchors, queue_keys=a.queue_keys, key_momentum=a.key_momentum)
config.weights["beta_mse"] = 0.3
model = R.CARAT(config)
for n, w in model.named_parameters():               # away from zeros and ones, so that every gradient is exercised
    w.data.add_(0.05 * torch.randn_like(w))
with torch.no_grad():                               # a queue partly filled and soon to wrap, prototypes under way
    filled = a.queue * 3 // 5
    model.queue_label[:filled, 0] = torch.from_numpy(rng.integers(0, 6 * a.labels, filled)).float()
    model.queue_ptr[0] = filled
    for m in R.MODALITIES:
        for kind in ("pos", "neg"):
            getattr(model, f"{m}_{kind}_protos").copy_(0.7 * torch.nn.functional.normalize(torch.randn(a.labels, a.latent), dim=-1))
copy = pycopy.deepcopy(model) if a.queue_keys == "momentum" else None
optimizer = R.BertAdam(model, lr=2e-3, warmup=0.2, total=10)
numpy = lambda t: t.detach().numpy().astype(np.float32)
out = {"initial." + n: numpy(t) for n, t in model.state_dict().items()}
for k in range(a.steps):
    inputs = [torch.randn(a.batch, t, f) for t, f in zip((a.length, long, long), a.features)]
    masks = [torch.ones(a.batch, a.length) for _ in range(3)]
    if a.ragged:
        for m in masks:
            for row in m:
                row[int(rng.integers(1, a.length + 1)):] = 0
    labels = (torch.rand(a.batch, a.labels) < 0.35).float()
    samples = torch.from_numpy(np.stack([[rng.permutation(a.batch) for _ in range(3)] for _ in range(a.labels)])).permute(2, 1, 0)
    modalities = torch.from_numpy(np.stack([[rng.permutation(3) for _ in range(a.batch)] for _ in range(a.labels)])).permute(1, 2, 0)
    for _, w in optimizer.named:
        w.grad = None
    keys = None if copy is None else model.key_rows(copy, inputs, masks)
    terms, scores, state = model(inputs, masks, labels, samples, modalities)
    total = model.loss(terms)
    total.backward()
    s = f"step{k}."
    for m, x, mask in zip(R.MODALITIES, inputs, masks):
        out[s + m], out[s + m + "_mask"] = numpy(x), numpy(mask)
    out[s + "labels"], out[s + "scores"], out[s + "loss"] = numpy(labels), numpy(scores), numpy(total)
    out[s + "sample_permutation"], out[s + "modality_permutation"] = samples.numpy().astype(np.int32), modalities.numpy().astype(np.int32)
    out.update({s + "term." + n: numpy(v) for n, v in terms.items()})
    out.update({s + "gradient." + n: numpy(w.grad) for n, w in optimizer.named if w.grad is not None})
    model.remember(state, keys)
    torch.nn.utils.clip_grad_norm_([w for _, w in optimizer.named if w.grad is not None], 1.0)
    optimizer.step()
    if copy is not None:
        model.follow(copy)
out.update({"final." + n: numpy(t) for n, t in model.state_dict().items()})
model.eval()
with torch.no_grad():
    out["eval.scores"] = numpy(model(inputs, masks, training=False)[1])
settings = dataclasses.asdict(config) | dict(lr=2e-3, warmup=0.2, total=10, weight_decay=0.01, steps=a.steps)
tensors.save(a.out, out, {"config": json.dumps(settings), "format": "carat-golden-1"})
print(a.out, sum(v.nbytes for v in out.values()), "bytes;", "loss", [float(out[f"step{k}.loss"]) for k in range(a.steps)])
