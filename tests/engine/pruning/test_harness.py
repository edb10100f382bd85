"""Another program's perplexity of an exported model is ours: lm-evaluation-harness, on the same text, with the same context.

Its rolling windows predict every token once; the first from the end-of-text token, the first of each further window from the
token before it. In our terms these are blocks that overlap by one token. The last window is as long as the others and reaches
back, so that the tokens that it predicts have more before them.
"""

import importlib.util
import os
import warnings

import pytest
import torch

from engine.evaluation.perplexity import evaluate, total
from engine.models.load import load
from engine.models.stored import load_pruned
from engine.pruning.cut import cut
from engine.pruning.export import export
from engine.pruning.plan import Plan

MISSING = "lm-evaluation-harness is not installed; `make harness` installs it"
WINDOW = 64


@pytest.fixture(scope="module")
def harness():
    """Its reader of Hugging Face models, which must be there where ESPALIER_REQUIRE_HARNESS says so."""
    if importlib.util.find_spec("lm_eval") is None:
        assert not os.environ.get("ESPALIER_REQUIRE_HARNESS"), MISSING
        pytest.skip(MISSING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies' own
        from lm_eval.models.huggingface import HFLM
    return HFLM


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A built-in model with a third of its units gone, raggedly: for our loader, and dense with zeros."""
    loaded = load("gpt2-tiny")
    layers = loaded.anatomy.layers
    heads = {(layer.index, head) for layer in layers for head in range(layer.heads) if (head + layer.index) % 3 == 0}
    neurons = {(layer.index, neuron) for layer in layers for neuron in range(layer.neurons) if (neuron + layer.index) % 3 == 0}
    small = cut(loaded.model, Plan(heads, neurons | {(0, 1)}))
    folder = tmp_path_factory.mktemp("exported")
    export(small, folder / "pruned", tokenizer=loaded.tokenizer)
    export(small, folder / "dense", tokenizer=loaded.tokenizer, dense=True)
    return folder


def ours(model, tokens: list[int], first: int):
    """The evaluation of the same predictions, window by window; of the last block what its beginning costs is taken off."""
    line, rest = torch.tensor([[first, *tokens]]), len(tokens) % WINDOW  # [1, tokens + 1]
    assert rest, "choose a text that does not end with a window"
    blocks = line[0, : len(tokens) - rest + 1].unfold(0, WINDOW + 1, WINDOW)  # [n, window + 1]
    whole, last, before = (evaluate(model, each) for each in (blocks, line[:, -WINDOW - 1 :], line[:, -WINDOW - 1 : -rest]))
    return total([(whole.nll, whole.tokens), (last.nll - before.nll, last.tokens - before.tokens)])


@pytest.mark.parametrize("form", ["dense", "pruned"])
def test_the_harness_measures_the_perplexity_that_we_do(form, harness, exported, text_file):
    """From the dense folder by itself, and of the pruned model as our loader gives it: to five digits."""
    from lm_eval.api.instance import Instance

    text = text_file.read_text(encoding="utf-8")[:4000]
    model, tokenizer = load_pruned(exported / "pruned")
    given = {"pretrained": str(exported / "dense")} if form == "dense" else {"pretrained": model, "tokenizer": tokenizer}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judge = harness(**given, device="cpu", dtype="float32", batch_size=4, max_length=WINDOW)
        asked = Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)
        (likelihood,) = judge.loglikelihood_rolling([asked], disable_tqdm=True)
    tokens = judge.tok_encode(text)
    assert tokens == tokenizer(text, add_special_tokens=False)["input_ids"] and len(tokens) > 5 * WINDOW
    found = ours(model, tokens, judge.prefix_token_id)
    assert found.tokens == len(tokens) and 10 < found.perplexity < 1e5
    assert -likelihood == pytest.approx(found.nll, rel=1e-5)
