"""Our training loop against a plain one: the same model, the same comments, in one run.

The plain one pads every comment to 256 tokens,
takes 32 of them as they come, computes in fp32 and steps with torch's AdamW as it is. Ours
takes the batches, number type and step of `trainer/fit.py`. Judging and checkpoints are left
out of both. In turn, each round on comments of its own.
"""

import os
from itertools import islice
from statistics import median
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.texts import real_texts
from deploy.broker import LocalBroker
from schemas.labels import LABELS
from trainer import fit
from trainer.data import Rows
from trainer.dataset import CommentDataset, Steps
from trainer.device import choose_device
from trainer.distributed import ALONE
from trainer.loss import Loss
from trainer.model import clean_tokenizer, load_model
from trainer.optimizer import choose_optimizer
from trainer.recipe import FitSettings

ROUNDS = 3
COUNT = 128  # comments a round
LENGTH = 256
PLAIN_ROWS = 32
BASE = os.environ.get("TIDEGATE_BENCH_BASE")  # None: the 6-layer BERT of the full install


def measure(_: LocalBroker) -> dict[str, Any]:
    """Train on the same comments by both loops, in turn."""
    source, texts = real_texts((ROUNDS + 1) * COUNT)
    labels = np.random.default_rng(0).integers(0, 2, (len(texts), len(LABELS))).astype(np.float32)
    rows, tokenizer = Rows(texts, labels), clean_tokenizer(BASE)
    device, dtype = choose_device()
    found: dict[str, list[float]] = {"ours": [], "plain": []}
    for number in range(ROUNDS + 1):  # the first one warms both up
        part = rows.take(range(number * COUNT, (number + 1) * COUNT))
        dataset = CommentDataset(part, tokenizer, LENGTH)
        for name, loop in (("ours", ours), ("plain", plain)):
            seconds = loop(dataset, device, dtype)
            found[name] += [COUNT / seconds] if number else []
    ratios = [mine / theirs for mine, theirs in zip(found["ours"], found["plain"], strict=True)]
    return {
        "comments": source,
        "device": f"{device}, {dtype}",
        "plain_per_s": round(median(found["plain"]), 2),
        "ours_per_s": round(median(found["ours"]), 2),
        "ratio": round(median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def ours(dataset: CommentDataset, device: torch.device, dtype: torch.dtype) -> float:
    """Return the seconds of one pass over the comments by our loop."""
    settings = FitSettings()
    model = load_model(BASE, LABELS)
    model.to(device)  # type: ignore[arg-type]  # transformers loses its type
    model.train()
    optimizer = choose_optimizer(model, settings)
    loss = Loss(settings.loss, torch.ones(len(LABELS), device=device))
    precision = torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)
    steps = Steps(dataset, fit.batches_of(dataset, settings))
    began = monotonic()
    for batches in islice(steps.after(0), len(steps.in_epoch(0))):
        mean = fit.backward(model, batches, loss, precision, ALONE)
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    mean.item()  # waits for a GPU
    return monotonic() - began


def plain(dataset: CommentDataset, device: torch.device, _: torch.dtype) -> float:
    """Return the seconds of one pass over the comments by a loop as tutorials have it."""
    model = load_model(BASE, LABELS)
    model.to(device)  # type: ignore[arg-type]  # transformers loses its type
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-5)
    began = monotonic()
    for start in range(0, len(dataset), PLAIN_ROWS):
        items = [dataset[i] for i in range(start, min(start + PLAIN_ROWS, len(dataset)))]
        ids = torch.full((len(items), LENGTH), dataset.pad)
        mask = torch.zeros((len(items), LENGTH), dtype=torch.int64)
        for row, item in enumerate(items):
            ids[row, : len(item.ids)] = item.ids
            mask[row, : len(item.ids)] = 1
        labels = torch.stack([item.labels for item in items]).to(device)
        logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
        mean = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        torch.autograd.backward(mean)
        optimizer.step()
        optimizer.zero_grad()
    mean.item()
    return monotonic() - began
