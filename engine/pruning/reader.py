"""The sums of one layer during a calibration pass, and the hooks that feed them; knows neither text nor batches to come."""

from collections.abc import Iterator

from torch import BoolTensor, LongTensor, Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.models.anatomy import Layer
from engine.pruning.gradients import GateGradients
from engine.pruning.running_sums import AttentionEntropy, Histograms, Moments
from engine.pruning.statistics import Inputs
from engine.record.errors import BadInput


class Reader:
    """What is gathered at the two output projections of one layer; `needs` says what."""

    def __init__(self, layer: Layer, needs: frozenset[str]):
        self.layer = layer
        self.needs = needs
        self.attention = Moments("covariance" in needs)
        self.mlp = Moments("covariance" in needs)
        self.attention_entropy = AttentionEntropy()
        self.neuron_entropy = Histograms()
        self.head_gates = GateGradients(layer.attention_output, layer.heads)
        self.neuron_gates = GateGradients(layer.mlp_output, layer.neurons)

    def hooks(self, model: nn.Module, blocks: LongTensor, real: BoolTensor | None) -> Iterator[RemovableHandle]:
        """Hook the layer for one batch of `blocks` [batch, length], of which `real` [batch, length] marks those that count."""
        of_first_block = blocks.shape[1] if real is None else int(real[0].sum())

        def at_attention_output(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor] | None:
            self.attention.add(_vectors(inputs[0], real))
            return self._gated(self.head_gates, inputs[0], len(blocks))

        def at_mlp_output(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor] | None:
            vectors = _vectors(inputs[0], real)  # [tokens, neurons]
            self.mlp.add(vectors)
            if "entropy" in self.needs:
                self.neuron_entropy.add(vectors, of_first_block)
            return self._gated(self.neuron_gates, inputs[0], len(blocks))

        def at_attention(_module: nn.Module, _inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
            self.attention_entropy.add(output[1].detach(), real, self.layer.window)  # [batch, heads, row, column]

        yield model.get_submodule(self.layer.attention_output).register_forward_pre_hook(at_attention_output)
        yield model.get_submodule(self.layer.mlp_output).register_forward_pre_hook(at_mlp_output)
        if "entropy" in self.needs and self.layer.heads:
            yield model.get_submodule(self.layer.attention).register_forward_hook(at_attention)

    def refuse_infinities(self) -> None:
        """Raise `BadInput` once a value that is not finite has come in: every sum from there on is worth nothing."""
        for name, moments in ((self.layer.attention_output, self.attention), (self.layer.mlp_output, self.mlp)):
            if moments.squares is not None and not bool(moments.squares.isfinite().all()):
                raise BadInput(
                    f"The input of {name} is not finite on the calibration text; the weights are damaged or the precision is "
                    "too low for this model: load it in float32 or bfloat16."
                )

    def take_gradients(self) -> None:
        """Add what the backward pass of a batch left at the gates; raises `BadInput` where that is not finite."""
        self.head_gates.add()
        self.neuron_gates.add()

    def at_attention(self, predicted: int) -> Inputs:
        """What was gathered at the attention's output projection, in a text of which `predicted` tokens were predicted."""
        entropy = self.attention_entropy.mean() if "entropy" in self.needs else None
        return self._inputs(self.attention, entropy, self.head_gates, predicted)

    def at_mlp(self, predicted: int) -> Inputs:
        """The same at the output projection of the MLP."""
        entropy = self.neuron_entropy.entropy() if "entropy" in self.needs else None
        return self._inputs(self.mlp, entropy, self.neuron_gates, predicted)

    def _gated(self, gates: GateGradients, inputs: Tensor, blocks: int) -> tuple[Tensor] | None:
        return (gates.multiply(inputs, blocks),) if "gradients" in self.needs else None

    def _inputs(self, moments: Moments, entropy: Tensor | None, gates: GateGradients, predicted: int) -> Inputs:
        return Inputs(
            rms=moments.rms() if "rms" in self.needs else None,
            mean=moments.mean() if "mean" in self.needs else None,
            summed=moments.covariance() if "covariance" in self.needs else None,
            entropy=entropy,
            gradients=gates.sizes / predicted if "gradients" in self.needs else None,
            squares=gates.squares / predicted if "gradients" in self.needs else None,
        )


def _vectors(activations: Tensor, real: BoolTensor | None) -> Tensor:
    vectors = activations.detach().flatten(0, -2)  # [tokens, channels]: OPT's MLP has them flat already
    return vectors if real is None else vectors[real.flatten()]  # [tokens that count, channels]
