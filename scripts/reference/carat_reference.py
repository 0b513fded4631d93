"""CARAT in plain PyTorch: the arithmetic that the Swift trainer must reproduce.

One file, written for this project from the method's equations. Parameter names are those that
people who already train CARAT in PyTorch have in their checkpoints, so a `state_dict()` of this
model and one of theirs are interchangeable.

Shape legend, used throughout:
  B batch   T time steps of a modality   F raw feature size   D hidden size   H heads
  C labels  P latent (projection) size   M modalities (text, visual, audio)   Q queue rows
  N = B * 3M/M * M * C live contrastive rows: (plain, alpha, beta) x modality x label

Nothing here draws random numbers except the initialiser and dropout: the two permutations of the
shuffle are arguments, so a step is a function of its inputs.
"""
import math
from dataclasses import dataclass, field

import torch
import torch.nn as nn
import torch.nn.functional as F

MODALITIES = ("text", "visual", "audio")
# fusion module of each modality: it rebuilds that modality out of the two others
FUSION = {"text": "va2t", "visual": "ta2v", "audio": "tv2a"}


@dataclass
class Config:
    feature_sizes: tuple = (300, 35, 74)
    max_positions: tuple = (60, 500, 500)
    layers: tuple = (6, 4, 4)
    hidden: int = 256
    heads: int = 8
    intermediate: int = 256
    labels: int = 6
    latent: int = 64
    queue: int = 8192
    dropout: float = 0.3
    prototype_momentum: float = 0.99
    temperature: float = 0.07
    threshold: float = 0.25
    aligned: bool = True
    aligned_length: int = 50            # output length of the soft alignment when not aligned
    anchors: str = "all"                # "all": queue rows are anchors too (released code); "batch": live rows only
    queue_keys: str = "live"            # what enters the queue: "live" rows (released code) or those of a "momentum" copy (MoCo)
    key_momentum: float = 0.999
    weights: dict = field(default_factory=lambda: dict(
        plain_bce=0.01, alpha_bce=0.1, beta_bce=1.0, contrastive=1.0,
        reconstruction_mse=1.0, alpha_mse=1.0, beta_mse=0.0,
        aggregate_bce=1.0, shuffled_bce=0.1))


class LayerNorm(nn.Module):
    """Biased variance, epsilon inside the root (1e-12)."""

    def __init__(self, size):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, 1e-12)


class Normalize(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm2d = LayerNorm(size)

    def forward(self, x):
        return self.norm2d(x)


class Embeddings(nn.Module):
    def __init__(self, features, positions, c):
        super().__init__()
        self.word_embeddings = nn.Linear(features, c.hidden)
        self.position_embeddings = nn.Embedding(positions, c.hidden)
        self.LayerNorm = LayerNorm(c.hidden)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x):
        return self.dropout(self.LayerNorm(self.word_embeddings(x) + self.position_embeddings.weight[:x.shape[1]]))


class SelfAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.heads
        self.query, self.key, self.value = (nn.Linear(c.hidden, c.hidden) for _ in range(3))
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x, bias):
        B, T, D = x.shape
        split = lambda z: z.view(B, T, self.heads, D // self.heads).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = q @ k.transpose(-1, -2) / math.sqrt(D // self.heads) + bias
        return (self.dropout(scores.softmax(-1)) @ v).transpose(1, 2).reshape(B, T, D)


class Output(nn.Module):
    """dense, dropout, add the residual, LayerNorm (post-norm)."""

    def __init__(self, inputs, c):
        super().__init__()
        self.dense, self.LayerNorm, self.dropout = nn.Linear(inputs, c.hidden), LayerNorm(c.hidden), nn.Dropout(c.dropout)

    def forward(self, x, residual):
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self, self.output = SelfAttention(c), Output(c.hidden, c)

    def forward(self, x, bias):
        return self.output(self.self(x, bias), x)


class Intermediate(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dense = nn.Linear(c.hidden, c.intermediate)

    def forward(self, x):
        return F.gelu(self.dense(x))            # exact (erf) GELU


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention, self.intermediate, self.output = Attention(c), Intermediate(c), Output(c.intermediate, c)

    def forward(self, x, bias):
        x = self.attention(x, bias)
        return self.output(self.intermediate(x), x)


class Stack(nn.Module):
    def __init__(self, depth, c):
        super().__init__()
        self.layer = nn.ModuleList(Layer(c) for _ in range(depth))


class Pooler(nn.Module):
    """In every checkpoint, in no computation: its gradient is absent, so no optimiser touches it."""

    def __init__(self, c):
        super().__init__()
        self.dense = nn.Linear(c.hidden, c.hidden)


class Encoder(nn.Module):
    def __init__(self, features, positions, depth, c):
        super().__init__()
        self.embeddings, self.encoder, self.pooler = Embeddings(features, positions, c), Stack(depth, c), Pooler(c)

    def forward(self, x, mask):
        bias = (1.0 - mask)[:, None, None, :] * -10000.0
        h = self.embeddings(x)
        for layer in self.encoder.layer:
            h = layer(h, bias)
        return h


class LabelAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = nn.Linear(c.hidden, c.labels, bias=False)

    def forward(self, h, mask):
        scores = self.attention(h).transpose(1, 2).masked_fill((mask < 0.5)[:, None, :], -math.inf)
        return scores.softmax(-1) @ h            # [B, C, D]


class MLP(nn.Module):
    def __init__(self, sizes, outputs):
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))
        self.output = nn.Linear(sizes[-1], outputs)

    def forward(self, x):
        for l in self.linear:
            x = F.relu(l(x))
        return self.output(x)


class SoftAlignment(nn.Module):
    """Maps an unaligned sequence [B, T, F] to [B, length, F] with a two-layer LSTM's soft positions (slot 0 is blank)."""

    def __init__(self, features, length):
        super().__init__()
        self.pred_output_position_inclu_blank = nn.LSTM(features, length + 1, num_layers=2, batch_first=True)

    def forward(self, x):
        position, _ = self.pred_output_position_inclu_blank(x)
        return position.softmax(2)[:, :, 1:].transpose(1, 2) @ x


class CARAT(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        D, C, P = c.hidden, c.labels, c.latent
        for m, features, positions, depth in zip(MODALITIES, c.feature_sizes, c.max_positions, c.layers):
            setattr(self, m, Encoder(features, positions, depth, c))
        for m, features in zip(MODALITIES, c.feature_sizes):
            setattr(self, m + "_norm", Normalize(features))
        for module in self.modules():            # what exists so far: N(0, 0.02), zero biases
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, 0.0, 0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        for m in MODALITIES:
            setattr(self, m + "_attention", LabelAttention(c))
        for m in MODALITIES:
            setattr(self, "proj_" + m, MLP([D, D // 2], P))
        for m in MODALITIES:
            setattr(self, "de_proj_" + m, MLP([P, D // 2], D))
        for m in ("audio", "visual", "text"):
            setattr(self, FUSION[m], MLP([3 * D], D))
        self.agg = MLP([D * C, D], C)
        for module in self.modules():            # Xavier weights, PyTorch's default biases
            if isinstance(module, MLP):
                for l in [*module.linear, module.output]:
                    nn.init.xavier_uniform_(l.weight)
            if isinstance(module, LabelAttention):
                nn.init.xavier_uniform_(module.attention.weight)
        for m in MODALITIES:
            w = nn.Parameter(torch.empty(C, D))
            nn.init.kaiming_uniform_(w, a=math.sqrt(5))
            setattr(self, m + "_clf_weight", w)
        for m in MODALITIES:
            self.register_buffer(m + "_pos_protos", torch.zeros(C, P))
            self.register_buffer(m + "_neg_protos", torch.zeros(C, P))
        self.register_buffer("queue", F.normalize(torch.randn(c.queue, P), dim=1))
        self.register_buffer("queue_label", torch.full((c.queue, 1), -1.0))       # -1: an empty row's label
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))
        if not c.aligned:
            self.a2t_ctc = SoftAlignment(c.feature_sizes[2], c.aligned_length)
            self.v2t_ctc = SoftAlignment(c.feature_sizes[1], c.aligned_length)

    def per_modality(self, pattern):
        return [getattr(self, pattern.format(m=m, f=FUSION[m])) for m in MODALITIES]

    def features(self, inputs, masks):
        """Label-specific representations of each modality, M x [B, C, D]."""
        x = [norm(i) for norm, i in zip(self.per_modality("{m}_norm"), inputs)]
        if not self.c.aligned:
            x[1], x[2] = self.v2t_ctc(x[1]), self.a2t_ctc(x[2])
        h = [encoder(z, k) for encoder, z, k in zip(self.per_modality("{m}"), x, masks)]
        return [attend(z, k) for attend, z, k in zip(self.per_modality("{m}_attention"), h, masks)]

    def forward(self, inputs, masks, labels=None, sample_permutation=None, modality_permutation=None, training=True):
        """inputs M x [B, T, F]; masks M x [B, T] of 0/1; labels [B, C] of 0/1.
        sample_permutation, modality_permutation: [B, M, C] integers (see `shuffled`).
        Returns (terms, scores, state): the loss terms by name, the scores [B, C], what `remember` needs."""
        c, project, rebuild, fuse = self.c, self.per_modality("proj_{m}"), self.per_modality("de_proj_{m}"), self.per_modality("{f}")
        plain = self.features(inputs, masks)
        latent = [p(z) for p, z in zip(project, plain)]
        reconstructed = [d(z) for d, z in zip(rebuild, latent)]

        # what a modality's prototypes alone say of it: intrinsic vectors, mixed softly in training, picked hard otherwise
        unit = [F.normalize(z, dim=-1) for z in latent]
        intrinsic = []
        for u, d, pos, neg in zip(unit, rebuild, self.per_modality("{m}_pos_protos"), self.per_modality("{m}_neg_protos")):
            protos = torch.stack([pos, neg])                                     # [2, C, P]
            weight = torch.einsum("bcp,kcp->bck", u, protos).softmax(-1)
            if not training:
                positive = (weight[..., 0] > weight[..., 1]).float()
                weight = torch.stack([positive, 1 - positive], -1)
            intrinsic.append(d(torch.einsum("bck,kcp->bcp", weight, protos)))

        # level alpha: modality m out of its own prototypes and the other modalities' reconstructions; level beta: out of all three alphas
        alpha = [f(torch.cat([intrinsic[k] if k == m else reconstructed[k] for k in range(3)], -1)) for m, f in enumerate(fuse)]
        beta = [f(torch.cat(alpha, -1)) for f in fuse]

        def max_pooled(z):                                                       # max over modalities of label-wise linear scores
            return torch.stack([torch.einsum("bcd,cd->bc", x, w) for x, w in zip(z, self.per_modality("{m}_clf_weight"))], -1).amax(-1)

        plain_logits, alpha_logits, beta_logits = max_pooled(plain), max_pooled(alpha), max_pooled(beta)
        B, total = plain_logits.shape[0], torch.stack(beta, 1)                   # [B, M, C, D]
        aggregate_logits = self.agg(total.reshape(B, 3, -1))                     # [B, M, C]
        scores = (aggregate_logits.sigmoid().mean(1) + beta_logits.sigmoid()) / 2
        if not training:
            return {}, scores, None

        live = torch.stack(latent + [p(z) for p, z in zip(project, alpha)] + [p(z) for p, z in zip(project, beta)], 1)   # [B, 9, C, P]
        live = F.normalize(live.reshape(-1, c.latent), dim=-1)
        live_labels = contrastive_labels(labels).repeat(1, 3, 1).reshape(-1)
        y3 = labels[:, None, :].expand(B, 3, c.labels)
        where = (sample_permutation, modality_permutation, torch.arange(c.labels).expand(B, 3, c.labels))
        shuffled_logits = self.agg(total[where].reshape(B, 3, -1))
        bce, mse = F.binary_cross_entropy_with_logits, lambda a: sum(F.mse_loss(x, z) for x, z in zip(a, plain))
        terms = dict(
            plain_bce=bce(plain_logits, labels), alpha_bce=bce(alpha_logits, labels), beta_bce=bce(beta_logits, labels),
            contrastive=supervised_contrastive(live, live_labels, self.queue.clone(), self.queue_label[:, 0].clone(), c.temperature, c.anchors),
            reconstruction_mse=mse(reconstructed), alpha_mse=mse(alpha), beta_mse=mse(beta),
            aggregate_bce=bce(aggregate_logits, y3), shuffled_bce=bce(shuffled_logits, y3[where]))
        return terms, scores, (live.detach(), live_labels, [u.detach() for u in unit], labels)

    def loss(self, terms):
        return sum(self.c.weights[name] * value for name, value in terms.items())

    @torch.no_grad()
    def key_rows(self, copy, inputs, masks):
        """What a momentum copy of the parameters makes of the batch, without dropout: the unit rows [N, P] that enter the queue.
        The copy uses this model's prototypes."""
        for name, buffer in self.named_buffers():
            if name.endswith("_protos"):
                getattr(copy, name).copy_(buffer)
        copy.eval()
        B, M, C = len(inputs[0]), len(inputs), self.c.labels
        permutations = torch.arange(B)[:, None, None].expand(B, M, C), torch.arange(M)[None, :, None].expand(B, M, C)
        return copy(inputs, masks, torch.zeros(B, C), *permutations, training=True)[2][0]

    @torch.no_grad()
    def follow(self, copy):
        """After the optimiser's step: copy <- m copy + (1 - m) self."""
        for mine, theirs in zip(self.parameters(), copy.parameters()):
            theirs.mul_(self.c.key_momentum).add_(mine, alpha=1 - self.c.key_momentum)

    @torch.no_grad()
    def remember(self, state, keys=None):
        """After a step: enqueue the live rows, then move the prototypes, sample by sample in batch order
        (written in closed form: a sample's share shrinks by the momentum for each selected sample after it)."""
        live, live_labels, unit, labels = state
        live = live if keys is None else keys
        n, Q, ptr = len(live), self.c.queue, int(self.queue_ptr)
        if Q > 0:
            kept = torch.arange(max(0, n - Q), n)                                # of more rows than fit, the newest
            rows = (ptr + kept) % Q
            self.queue[rows], self.queue_label[rows, 0] = live[kept], live_labels[kept].to(self.queue_label.dtype)
            self.queue_ptr[0] = (ptr + n) % Q
        m = self.c.prototype_momentum
        for name, u in zip(MODALITIES, unit):
            for kind, selected in (("pos", labels == 1), ("neg", labels != 1)):
                s = selected.float()                                             # [B, C]
                later = s.flip(0).cumsum(0).flip(0) - s                          # how many selected samples follow
                protos = getattr(self, f"{name}_{kind}_protos")
                protos.mul_((m ** s.sum(0))[:, None]).add_(torch.einsum("bc,bcp->cp", s * (1 - m) * m ** later, u))


def contrastive_labels(labels):
    """[B, C] of 0/1 -> [B, M, C]: label j of modality m is j + C * (2m + (0 where positive, 1 where negative))."""
    C = labels.shape[1]
    return torch.stack([torch.arange(C) + C * (2 * m + (labels < 0.5).long()) for m in range(3)], 1)


def supervised_contrastive(live, live_labels, queue, queue_labels, temperature, anchors):
    """Supervised contrastive loss over live [N, P] and queue [Q, P] rows, all of unit length. An anchor's positives are the
    other rows with its label, its denominator all other rows; an anchor without a positive counts as 0 in the mean.
    Queue rows with a negative label are empty: they take no part."""
    present = queue_labels >= 0
    rows = torch.cat([live, queue[present]])
    labels = torch.cat([live_labels.to(queue_labels.dtype), queue_labels[present]])
    n = len(rows) if anchors == "all" else len(live)
    logits = rows[:n] @ rows.T / temperature
    self_mask = torch.zeros_like(logits, dtype=torch.bool)
    self_mask[torch.arange(n), torch.arange(n)] = True
    positive = (labels[:n, None] == labels[None, :]) & ~self_mask
    log_probability = logits - torch.logsumexp(logits.masked_fill(self_mask, -math.inf), 1, keepdim=True)
    return -((positive * log_probability).sum(1) / (positive.sum(1) + 1e-12)).mean()


def no_decay(name):
    return any(part in name for part in ("bias", "LayerNorm.weight"))


class BertAdam:
    """Adam without bias correction; decoupled weight decay; every tensor clipped to norm 1 after the global clip;
    linear warm-up over the first `warmup` of `total` steps, then linear decay to 0. The first step's rate is 0."""

    def __init__(self, model, lr=5e-5, warmup=0.1, total=5100, decay=0.01, betas=(0.9, 0.999), eps=1e-6, max_norm=1.0):
        self.named = [(n, p) for n, p in model.named_parameters()]
        self.lr, self.warmup, self.total, self.decay, self.betas, self.eps, self.max_norm = lr, warmup, total, decay, betas, eps, max_norm
        self.state, self.steps = {}, 0

    def rate(self):
        x = self.steps / self.total
        return self.lr * (x / self.warmup if x < self.warmup else max((x - 1.0) / (self.warmup - 1.0), 0.0))

    @torch.no_grad()
    def step(self):
        for name, p in self.named:
            if p.grad is None:
                continue
            first, second = self.state.setdefault(name, (torch.zeros_like(p), torch.zeros_like(p)))
            torch.nn.utils.clip_grad_norm_([p], self.max_norm)
            first.mul_(self.betas[0]).add_(p.grad, alpha=1 - self.betas[0])
            second.mul_(self.betas[1]).addcmul_(p.grad, p.grad, value=1 - self.betas[1])
            update = first / (second.sqrt() + self.eps)
            if not no_decay(name):
                update = update + self.decay * p
            p.sub_(self.rate() * update)
        self.steps += 1


def train_step(model, optimizer, inputs, masks, labels, sample_permutation, modality_permutation, copy=None):
    """One whole step in the order of the released code; returns the loss terms. `copy` is the momentum copy that makes the
    queue's keys, if they are not the live rows."""
    keys = None if copy is None else model.key_rows(copy, inputs, masks)
    for _, p in optimizer.named:
        p.grad = None
    terms, scores, state = model(inputs, masks, labels, sample_permutation, modality_permutation)
    model.loss(terms).backward()
    model.remember(state, keys)
    torch.nn.utils.clip_grad_norm_([p for _, p in optimizer.named if p.grad is not None], 1.0)
    optimizer.step()
    if copy is not None:
        model.follow(copy)
    return {k: float(v.detach()) for k, v in terms.items()}


def jaccard_accuracy(truth, predicted):
    """Mean over samples of |truth & predicted| / |truth | predicted| (an empty union counts as 0)."""
    both, either = (truth * predicted).sum(1), ((truth + predicted) > 0).float().sum(1)
    return (both / either.clamp(min=1)).mean()
