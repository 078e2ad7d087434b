"""The space sequence, for tokens and signals: exact counts, one row for equal networks, padding, proxies, searches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.torchs_counts import flops
from torch import Tensor, nn

import searchkit
from searchkit import plugins
from searchkit.blocks.additive import blocks_of
from searchkit.blocks.modules import node_modules
from searchkit.costs.counts import count, space_counts
from searchkit.errors import SpaceError
from searchkit.random_state import seeded
from searchkit.results.recorded_data import data_of
from searchkit.scoring.scorer import Scorer
from searchkit.space import NetworkSpace, TokenShape
from searchkit.space.inputs import noise, plain_inputs
from searchkit.spaces.sequence import sequence
from searchkit.training.reduced import Reduction

SIGNALS, TOKENS = (2, 50), TokenShape(9, 12)
TINY = sequence(
    width=(6, 8), depth=(1, 2), heads=(1, 2), kernel=(3, 5), ratio=(1, 2), head=4, patch=(4, 7), input_shape=SIGNALS
)
PROXIES = ("params", "macs", "layers", "naswot", "swap", "jacov", "grad_norm", "synflow", "zen", "zico", "vkdnw")
NOT_OF_TOKENS = {"jacov": "gradients to the inputs", "vkdnw": "gradients to the inputs", "synflow": "feeds ones",
                 "zen": "perturbs its inputs", "eproxy": "places of images or signals"}  # fmt: skip
RNG = np.random.default_rng(0)
Y = np.arange(120) % 3
WORDS = np.concatenate([Y[:, None] + 1, RNG.integers(1, 12, (120, 8))], axis=1)
WAVES = RNG.normal(size=(120, 2, 50)) + 3 * Y[:, None, None]


def outputs(space: NetworkSpace, code: np.ndarray, x: Tensor) -> Tensor:
    """Of the network of a code as it is, whose weights are drawn from one seed."""
    with seeded(0), torch.no_grad():
        network: nn.Module = space.builder(space.decode(code[None])[0], space.input_shape, space.n_classes)
        found: Tensor = network.eval()(x)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1000), (3, 37), TokenShape(32, 500), TokenShape(1, 2)])
def test_counts_are_torchs_own_with_attention_included(shape: tuple[int, ...]) -> None:
    space = sequence().for_data(shape, 7)
    codes = space.sample(10, np.random.default_rng(0))
    counted = space_counts(space, codes)
    for i, code in enumerate(codes):
        network = space.build(code).eval()
        assert flops(network, plain_inputs(1, shape)) == 2 * counted["macs"][i]
        assert sum(p.numel() for p in network.parameters()) == counted["params"][i]
        assert count(network, shape) == {name: values[i] for name, values in counted.items()}


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 8), TokenShape(5, 4)])
def test_rows_are_equal_where_networks_are(shape: tuple[int, ...]) -> None:
    space = sequence(width=(6, 8), depth=(1, 2), heads=(1, 2), kernel=(3, 5), ratio=1, head=4).for_data(shape, 3)
    x = noise(2, shape, torch.Generator().manual_seed(0))
    codes = np.indices(tuple(space.n_options.tolist())).reshape(space.n_choices, -1).T
    found: dict[bytes, bytes] = {}
    for code, row in zip(codes, space.canonical(codes), strict=True):
        answer = outputs(space, code, x).numpy().tobytes()
        assert found.setdefault(row.tobytes(), answer) == answer
    layer = 2 + 2  # convolutions of two kernels, attention with one or two heads
    assert len(found) == 2 * (layer + layer**2) * (2 if shape == (1, 8) else 1) < len(codes)
    assert len(set(found.values())) == len(found)  # rows that differ are networks that differ


def test_tokens_have_no_patches_and_patches_suit_the_length_of_signals() -> None:
    space = sequence()
    assert space.choices[0].options == (16, 32)
    assert space.for_data((1, 40), 2).choices[0].options == (4, 8)
    tokens = space.for_data(TokenShape(20, 100), 2)
    assert "patch" not in tokens.names
    assert tokens.kind == "tokens"
    assert tokens.describe() == sequence(input_shape=TokenShape(20, 100), n_classes=2).describe()
    back = tokens.for_data((1, 1024), 10)
    assert back.describe() == space.describe()
    assert back.size == space.size
    assert sequence(patch=(3, 2)).for_data((1, 40), 2).choices[0].options == (2, 3)


def test_only_choices_of_blocks_that_there_are_remain() -> None:
    assert not any(name.startswith(("heads", "block")) for name in sequence(block="convolution").names)
    assert not any(name.startswith(("kernel", "block")) for name in sequence(block="attention").names)
    given = sequence(block=("attention", "convolution"))
    assert given.describe() == sequence().describe()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kernel": 4}, "takes kernel as an odd number, or several; got 4"),
        ({"block": "pooling"}, "takes block as convolution or attention, or both; got 'pooling'"),
        ({"block": ("attention", "attention")}, "takes block as a value, or as several that differ"),
        ({"ratio": 0}, "takes ratio as a number above 0"),
        ({"input_shape": (3, 32, 32)}, r"takes input_shape as \(channels, length\) of a signal, or as .*TokenShape"),
        ({"input_shape": (10,)}, "takes input_shape as"),
        ({"width": 8, "depth": 1, "block": "attention", "heads": 1, "ratio": 1, "patch": 4}, "nothing to choose"),
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpaceError, match=sentence):
        sequence(**options)


def test_padding_is_left_out_of_the_mean() -> None:
    space = sequence(width=(6, 8), kernel=1, block="convolution").for_data(TokenShape(6, 9), 3)
    network = space.build([0] * space.n_choices).eval()
    short, other = torch.tensor([[4, 5, 0, 0, 0, 0]]), torch.tensor([[4, 5, 0, 7, 0, 0]])
    whole = torch.tensor([[4, 5, 4, 5, 4, 5]])
    with torch.no_grad():
        network.first.places.zero_()
        assert torch.allclose(network(short), network(whole), atol=1e-5)  # each position by itself, as kernels are 1
        assert not torch.allclose(network(short), network(other), atol=1e-5)
        assert bool(torch.isfinite(network(torch.zeros(1, 6, dtype=torch.int64))).all())  # nothing but padding


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 50)])
def test_a_signal_is_taken_to_its_last_value(shape: tuple[int, int]) -> None:
    space = sequence(patch=(3, 4), width=4).for_data(shape, 1)
    for code in space.check([[0] * space.n_choices, [1] * space.n_choices]):
        x = torch.randn(2, *shape, requires_grad=True)
        logits = space.build(code)(x)
        assert logits.shape == (2, 1)
        logits.sum().backward()
        assert x.grad is not None
        assert bool((x.grad != 0).all())


@pytest.mark.slow
def test_layers_that_are_always_there_are_blocks_and_the_depth_belongs_to_the_others() -> None:
    blocks = blocks_of(sequence())
    layer = 3 * 2 + 2 * 2
    assert blocks.names == ("layer_1", "layers_2_to_4", "patch", "width")
    assert blocks.sizes == (layer, sum(layer**n for n in range(4)), 2, 3)
    for shape in (SIGNALS, TOKENS):
        space = TINY.for_data(shape, 3)
        positions = 9 if shape is TOKENS else 13
        there = [one for one in node_modules(space, blocks_of(space), 0)[0] if one is not None]
        assert len(there) == 2 * 2 + 2 * 2  # in the canonical form
        for found in there:
            assert found.input_shape == found.output_shape == (6, positions)


def test_designs_to_begin_with_have_either_block_and_both() -> None:
    for space in (sequence(), TINY, TINY.for_data(TOKENS, 3), sequence(block="attention", depth=9, width=(5, 7))):
        rows = space.decode(space.reference)
        assert len(rows) >= 1
        if "block_1" in space.names and 2 in space.choices[space.names.index("depth")].options:
            kinds = {frozenset(row[f"block_{i + 1}"] for i in range(row["depth"])) for row in rows}
            assert len(kinds) >= 2


def test_a_reduced_network_is_narrower() -> None:
    for shape in (SIGNALS, TOKENS):
        space = TINY.for_data(shape, 3)
        code = space.sample(1, np.random.default_rng(0))[0]
        whole, thin = space.build(code), Reduction(width=0.5, resolution=16).of(space).build(code)
        assert thin.get_parameter("norm.weight").numel() * 2 == whole.get_parameter("norm.weight").numel()
        assert thin(plain_inputs(2, shape)).shape == (2, 3)


@pytest.mark.slow
def test_every_proxy_scores_signals_and_says_in_words_which_do_not_score_tokens() -> None:
    for x, kind, refused in ((WAVES, "signals", {}), (WORDS, "tokens", NOT_OF_TOKENS)):
        data = searchkit.load_data((x, Y), kind=kind)  # type: ignore[arg-type]
        space = TINY.for_data(data.input_shape, 3)
        codes = space.sample(3, np.random.default_rng(0))
        scorer = Scorer(space, [*PROXIES, "eproxy"], data, warns=False)
        scores = scorer(codes)
        for name, column in zip(scorer.names, scores.T, strict=True):
            said = refused.get(name)
            assert np.isfinite(column).any() == (said is None), name
            if said is not None:
                assert said in str(scorer.reason(codes[0], name))


def test_az_nas_reads_maps_of_one_axis() -> None:
    for shape in (SIGNALS, TOKENS):
        scorer = Scorer(TINY.for_data(shape, 3), ["az_nas"], warns=False)
        scores = scorer(TINY.for_data(shape, 3).check([[1] * len(TINY.for_data(shape, 3).names)]))
        assert np.isfinite(
            scores[0, [scorer.names.index("az_expressivity"), scorer.names.index("az_trainability")]]
        ).all()


def test_dna_says_that_it_is_about_images() -> None:
    data = searchkit.load_data((WORDS, Y), kind="tokens")
    space = TINY.for_data(data.input_shape, 3)
    scorer = Scorer(space, ["dna"], data, warns=False)
    code = space.sample(1, np.random.default_rng(0))
    assert np.isnan(scorer(code)).all()
    assert "networks for token sequences have none" in str(scorer.reason(code[0], "dna"))


@pytest.mark.slow
@pytest.mark.parametrize(("x", "kind"), [(WORDS, "tokens"), pytest.param(WAVES, "signals", marks=pytest.mark.thorough)])
def test_a_search_delivers_a_network_of_raw_inputs_and_its_file(x: np.ndarray, kind: str, tmp_path: Path) -> None:
    import onnxruntime

    result = searchkit.run(
        "random", data=(x, Y), space=TINY, budget=2, epochs=2, storage=tmp_path, name="own", device="cpu",
        objectives=("accuracy", "latency_ms", "peak_memory"), progress=False,
    )  # fmt: skip
    assert (result.front["latency_ms"] > 0).all()
    onnx, *_ = result.export(0, tmp_path / "best")
    told = json.loads((tmp_path / "best.json").read_text())
    assert told["input"]["name"] == kind
    raw = x[:7] if kind == "tokens" else x[:7].astype(np.float32)
    with torch.inference_mode():
        expected = result.build(0)(torch.from_numpy(raw)).numpy()
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {kind: raw})[0], expected, rtol=1e-3, atol=1e-4)
    back = searchkit.load("own", storage=tmp_path, space=TINY)
    assert data_of(back, (x, Y)).kind == kind
    with torch.inference_mode():
        np.testing.assert_allclose(back.build(0)(torch.from_numpy(raw)).numpy(), expected, rtol=1e-5)


@pytest.mark.slow
def test_sentences_are_searched_and_the_file_says_the_words(tmp_path: Path) -> None:
    said = [f"the {('dog', 'cat', 'bird')[label]} is here" for label in Y]
    data = searchkit.load_data((said, Y), kind="tokens")
    assert data.tokenizer is not None
    result = searchkit.run(
        "random", data=data, space=TINY, budget=1, epochs=1, storage=tmp_path, name="own", device="cpu", progress=False
    )  # fmt: skip
    result.export(0, tmp_path / "best")
    told = json.loads((tmp_path / "best.json").read_text())["input"]
    assert tuple(told["words"]) == data.tokenizer.words
    encoded = torch.from_numpy(data.tokenizer.encode(["the dog is elsewhere"]))
    assert result.build(0)(encoded).shape == (1, 3)


@pytest.mark.slow
@pytest.mark.skipif("sequence" not in plugins.names("space"), reason="installed before the space was registered")
def test_data_choose_the_space_and_the_space_the_kind_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from searchkit.cli import main

    call: dict[str, Any] = {"budget": 1, "epochs": 1, "storage": "memory", "device": "cpu", "progress": False}
    for x, kind in ((WORDS, "tokens"), (WAVES, "signals"), (WAVES[:, 0], "signals")):
        found = searchkit.run("random", data=(x, Y), space="sequence", **call).network_space
        assert (found.kind, found.name) == (kind, "sequence")
        loaded = searchkit.load_data((x, Y), kind=kind)  # type: ignore[arg-type]
        assert searchkit.run("random", data=loaded, **call).network_space.name == "sequence"
    monkeypatch.chdir(tmp_path)
    np.savez("words.npz", X=WORDS, y=Y)
    assert (
        main(["run", "--data", "words.npz", "--space", "sequence", "--budget", "1", "--epochs", "1", "--name", "w"])
        == 0
    )
    assert searchkit.load("w").network_space.kind == "tokens"


@pytest.mark.slow
@pytest.mark.parametrize(("x", "kind"), [(WORDS, "tokens"), (WAVES, "signals")])
def test_a_trained_network_is_compressed(x: np.ndarray, kind: str) -> None:
    data = searchkit.load_data((x, Y), kind=kind, normalise=False)  # type: ignore[arg-type]
    network = TINY.for_data(data.input_shape, 3)
    made = searchkit.compress(
        network.build(network.reference[0]), data, constraints={"macs": "80%"}, epochs=0, learning_seconds=1,
        device="cpu", progress=False,
    )  # fmt: skip
    assert made.network_space.kind == kind
    with torch.inference_mode():
        assert made.build(0)(data.test.x[:3]).shape == (3, 3)
