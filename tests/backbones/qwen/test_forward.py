"""What happens when memory runs out, states overflow, no token is kept, or the GPU is lent by ZeroGPU."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from smart_demo.backbones.checkpoint_backbone import ForwardPass, ModelInput, Prompt, States, select_tokens
from smart_demo.backbones.device import Placement, run_on_zerogpu
from smart_demo.backbones.qwen.model import QwenForward
from smart_demo.errors import BackboneUnavailable
from smart_demo.types import TokenKind, TokenSpace


class Echo:
    """A model whose state of a token is the token's id; more than `room` sequences at once are too many for it."""

    def __init__(self, room):
        self.room, self.passes = room, []

    def __call__(self, input_ids, use_cache):
        self.passes.append(len(input_ids))
        if len(input_ids) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return SimpleNamespace(last_hidden_state=input_ids[:, :, None].repeat(1, 1, 2).float())


def prompt(*ids):
    kinds = np.full(len(ids), TokenKind.CONTENT, np.uint8)
    return Prompt(np.array(ids), kinds, tuple(map(str, ids)), 0, len(ids), (-1,) * len(ids), ())


def forward(model, batch=3):
    return QwenForward(model, Placement("cpu", "float32", sharded=False, batch=batch, reason=""))


def row(*values):
    return np.array(values, np.float32)


def select_raw(written, states, positions):
    """Return the pooled vector and the kept tokens of the raw space."""
    pooled, found = select_tokens(written, states, {TokenSpace.RAW: np.array(positions, np.int64)})
    return pooled, found[TokenSpace.RAW]


def test_answers_come_in_the_order_of_the_questions_whatever_shares_a_pass():
    model = Echo(room=9)
    made = forward(model).states([ModelInput(prompt(*ids), None) for ids in ([1, 2], [3], [4, 5], [6], [7, 8], [9, 1])])
    assert [states.tokens[:, 0].tolist() for states in made] == [[1, 2], [3], [4, 5], [6], [7, 8], [9, 1]]
    assert [states.pooled[0] for states in made] == [2, 3, 5, 6, 8, 1]
    assert sorted(model.passes) == [1, 2, 3]


def test_a_batch_that_does_not_fit_is_taken_one_by_one():
    model = Echo(room=1)
    made = forward(model).states([ModelInput(prompt(1), None), ModelInput(prompt(2), None)])
    assert [states.tokens[0, 0] for states in made] == [1, 2]
    assert model.passes == [2, 1, 1]


def test_what_does_not_fit_even_alone_is_refused_in_words():
    (states,) = forward(Echo(room=0)).states([ModelInput(prompt(1), None)])
    assert states is None
    with pytest.raises(ValueError, match="memory is too small"):
        select_raw(prompt(1), states, [0])


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_states_without_a_direction_are_refused(value):
    with pytest.raises(ValueError, match="SMART_DTYPE=float32"):
        select_raw(prompt(1, 2), States(row(1, 1), np.stack([row(1, 1), row(value, value)])), [0, 1])
    with pytest.raises(ValueError, match="SMART_DTYPE=float32"):
        select_raw(prompt(1), States(row(value, value), row(1, 1)[None]), [0])


def test_if_no_token_is_kept_the_pooled_vector_is_the_one_token():
    pooled, made = select_raw(prompt(1, 2), States(row(0, 5), np.stack([row(3, 4), row(1, 1)])), [])
    assert pooled.tolist() == [0, 1]
    assert made.tokens.tolist() == [[0, 1]]
    assert len(made.kinds) == len(made.labels) == 1


def test_each_space_keeps_its_own_tokens_in_the_order_asked_for():
    states = States(row(1, 0), np.stack([row(2, 0), row(0, 3)]), {TokenSpace.TRAINED: np.stack([row(5), row(-6)])})
    kept = {TokenSpace.RAW: np.array([1]), TokenSpace.TRAINED: np.array([1, 0])}
    _, made = select_tokens(prompt(7, 8), states, kept)
    assert made[TokenSpace.RAW].tokens.tolist() == [[0, 1]]
    assert made[TokenSpace.RAW].labels == ("8",)
    assert made[TokenSpace.TRAINED].tokens.tolist() == [[-1], [1]]
    assert made[TokenSpace.TRAINED].labels == ("8", "7")


def test_elsewhere_than_on_zerogpu_the_function_is_left_alone(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert run_on_zerogpu(len, lambda _: 1) is len


def test_on_zerogpu_the_function_is_decorated_with_its_duration(monkeypatch):
    asked = []

    def gpu(duration):
        return lambda function: lambda value: asked.append(duration(value)) or function(value)

    package = ModuleType("spaces")
    package.GPU = gpu
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", package)
    assert run_on_zerogpu(len, lambda pages: 10 + len(pages))([1, 2]) == 2
    assert asked == [12]


def test_a_space_without_the_package_says_what_is_missing(monkeypatch):
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", None)
    with pytest.raises(BackboneUnavailable, match="spaces"):
        run_on_zerogpu(len, lambda _: 1)


def test_a_call_without_a_free_gpu_raises_backbone_unavailable(monkeypatch):
    from gradio import Error

    def gpu(duration):
        def refuse(*_):
            raise Error("You have exceeded your GPU quota")

        return lambda function: refuse

    package = ModuleType("spaces")
    package.GPU = gpu
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", package)
    with pytest.raises(BackboneUnavailable, match="exceeded your GPU quota"):
        run_on_zerogpu(len, lambda _: 1)([])


def test_an_error_of_another_kind_is_not_taken_for_a_lack_of_memory():
    class Unsupported(ForwardPass):
        def stack(self, inputs):
            raise NotImplementedError("this device has no such operation")  # a RuntimeError, as torch's own are

        def encode(self, arguments):
            return []

    prompt = Prompt(np.array([1]), np.array([0], np.uint8), ("a",), 0, 1, (0,), ("a",))
    with pytest.raises(NotImplementedError):
        Unsupported(Placement("cpu", "float32", False, 1, "")).states([ModelInput(prompt, None)])
