"""NeoMME-Retriever written out in NumPy, in float64, from its configuration and weights. Shares no code with ours."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

WINDOWS = {"full_attention": [None], "sliding_attention": ["sliding_window", 1024]}
"""Sliding layers alternate between the configured window and a long one."""


def rms(values, eps):
    return values / np.sqrt(np.mean(values**2, axis=-1, keepdims=True) + eps)


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def fitting_size(height, width, budget):
    """Try every longest side from the largest down."""
    longest = max(height, width)
    for side in range(longest, 0, -1):
        h, w = (max(1, round(one * (side / longest))) for one in (height, width))
        if -(-h // 32) * -(-w // 32) <= budget:
            return h, w
    raise AssertionError("one patch always fits")


def page_input(pixels, budget):
    """Return ids, positions [(row, column), …] and patches of a page, built patch by patch."""
    h, w = fitting_size(*pixels.shape[:2], budget)
    picture = np.asarray(Image.fromarray(pixels).resize((w, h), Image.Resampling.BILINEAR))
    ids, positions, patches = [5, 6], [(0, 0), (1, 1)], []
    for row, top in enumerate(range(0, h, 32)):
        for col, left in enumerate(range(0, w, 32)):
            patch = np.full((32, 32, 3), -1.0)
            seen = picture[top : top + 32, left : left + 32]
            patch[: len(seen), : len(seen[0])] = (seen / 255 - 0.5) / 0.5
            patches.append(patch.ravel())
            ids.append(6)
            positions.append((2 + row, 2 + col))
        ids.append(8)
        positions.append((2 + row, 2 + col + 1))
    return ids, positions, np.array(patches)


class WrittenOut:
    """The forward pass of one checkpoint folder."""

    def __init__(self, folder: Path):
        from transformers import AutoTokenizer

        self.config = json.loads((folder / "config.json").read_text())
        self.weights = {
            name: values.astype(np.float64) for name, values in load_file(folder / "model.safetensors").items()
        }
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        kinds = self.config["layer_types"]
        full = [at for at, kind in enumerate(kinds) if kind == "full_attention"]
        self.with_values = {full[0], full[-1]}
        self.windows, sliding = [], 0
        for kind in kinds:
            of_kind = WINDOWS[kind]
            window = of_kind[sliding % len(of_kind)]
            self.windows.append(self.config["sliding_window"] if window == "sliding_window" else window)
            sliding += kind == "sliding_attention"

    def words(self, text, task="query"):
        """Return (pooled, states, trained) of a text by the checkpoint's own template, with the ids."""
        messages = [{"role": "user", "content": text}]
        ids = self.tokenizer.apply_chat_template(messages, task=task, tokenize=True, return_dict=False)
        return (*self.heads(ids, [(at, at) for at in range(len(ids))]), ids)

    def page(self, pixels, budget):
        ids, positions, patches = page_input(pixels, budget)
        return (*self.heads(ids, positions, patches), ids)

    def heads(self, ids, positions, patches=None):
        states = self.states(ids, positions, patches)[-1]
        trained = unit(states @ self.weights["multi_vector_head.proj.weight"].T)
        return unit(states.mean(axis=0)), unit(states), trained

    def states(self, ids, positions, patches=None):
        """Return the (L, D) states that each layer leaves, the last after the final norm."""
        eps, weights = self.config["norm_eps"], self.weights
        words = weights["model.embed_tokens.word_embeddings.weight"][ids]
        hidden = words @ weights["model.embed_tokens.embedding_projection.weight"].T
        if patches is not None:
            at = [n for n in range(1, len(ids)) if ids[n] == 6 and ids[n - 1] != 5]
            hidden[at] = self.embed_patches(patches)
        first = hidden = rms(hidden, eps)
        left = []
        for layer in range(self.config["num_hidden_layers"]):
            mine = {k.split(".", 3)[3]: v for k, v in weights.items() if k.startswith(f"model.layers.{layer}.")}
            a, b = mine["lambdas"]
            hidden = hidden + self.config["residual_multiplier"] * self.attend(
                mine, rms(a * hidden + b * first, eps), np.array(positions), ids, layer
            )
            up = np.maximum(rms(hidden, eps) @ mine["mlp.up_proj.weight"].T, 0) ** 2
            hidden = hidden + self.config["residual_multiplier"] * (up @ mine["mlp.down_proj.weight"].T)
            left.append(hidden)
        left[-1] = rms(hidden, eps)
        return left

    def embed_patches(self, patches):
        mine = {k.split(".", 2)[2]: v for k, v in self.weights.items() if k.startswith("model.patch_embeddings.")}
        centred = patches - patches.mean(axis=1, keepdims=True)
        normed = centred / np.sqrt(patches.var(axis=1, keepdims=True) + 1e-5)
        up = (normed * mine["norm.weight"] + mine["norm.bias"]) @ mine["up_proj.weight"].T
        gelu = up * (1 + np.vectorize(math.erf)(up / math.sqrt(2))) / 2
        return gelu @ mine["down_proj.weight"].T + mine["down_proj.bias"]

    def attend(self, mine, x, positions, ids, layer):
        heads, groups, size = (self.config[k] for k in ("num_attention_heads", "num_key_value_heads", "head_dim"))
        queries, keys, values = (
            (x @ mine[f"self_attn.{name}_proj.weight"].T).reshape(len(x), -1, size) for name in "qkv"
        )
        queries, keys = (self.turn(rms(one, self.config["norm_eps"]), positions, layer) for one in (queries, keys))
        if layer in self.with_values:
            values = values + self.weights["model.value_embeddings.weight"][ids].reshape(values.shape)
        distance = np.abs(np.subtract.outer(np.arange(len(x)), np.arange(len(x))))
        window, out = self.windows[layer], np.empty((len(x), heads, size))
        for head in range(heads):
            group = head // (heads // groups)
            scores = queries[:, head] @ keys[:, group].T / math.sqrt(size)
            if window is not None:
                scores = np.where(distance <= window, scores, -np.inf)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed = shares / shares.sum(axis=1, keepdims=True) @ values[:, group]
            own = unit(values[:, group])
            along = (mixed * own).sum(axis=1, keepdims=True) * own
            out[:, head] = mixed - np.tanh(mine["self_attn.exclusive_self_attention.alpha"][head]) * along
        gate = 1 / (1 + np.exp(-(x @ mine["self_attn.output_projection.gate_proj.weight"].T)))
        return (out.reshape(len(x), -1) * gate) @ mine["self_attn.output_projection.o_proj.weight"].T

    def turn(self, heads, positions, layer):
        """Rotate pairs of coordinates: even pairs by the row's position, odd ones by the column's."""
        facts = self.config["rope_parameters"][self.config["layer_types"][layer]]
        count = int(self.config["head_dim"] * facts["partial_rotary_factor"]) // 2
        turned = heads.copy()
        for pair in range(count):
            angle = positions[:, pair % 2] * facts["rope_theta"] ** (-pair / count)
            cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
            one, other = heads[..., pair], heads[..., pair + count]
            turned[..., pair], turned[..., pair + count] = one * cos - other * sin, other * cos + one * sin
        return turned
