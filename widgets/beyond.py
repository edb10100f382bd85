"""What stands in a run and the controls do not say, in sentences: a recipe alone would not lead there; draws nothing."""

from engine.record.errors import counted
from engine.record.state import RunState
from widgets.view import View
from widgets.words import is_pruned

PLAIN = "The lines carry out the controls as they stand, from the model as it was loaded."


def beyond_the_recipe(view: View) -> str:
    """What the recipe's lines do, and what of what stands they do not contain."""
    return " ".join(filter(None, (PLAIN, _by_hand(view.state), _moved(view), _recovered(view))))


def _by_hand(state: RunState) -> str:
    plan, gates = state.standing.plan, state.standing.gates
    if gates is None:
        return ""
    planned, closed = set(plan.heads) if plan is not None else set(), set(gates.heads)
    moved = ((closed - planned, "closed"), (planned - closed, "opened"))
    changes = " and ".join(f"{_heads(len(heads))} {did} by hand" for heads, did in moved if heads)
    return f"{changes[0].upper()}{changes[1:]}, which a recipe cannot say: they leave that out." if changes else ""


def _moved(view: View) -> str:
    if not is_pruned(view.state) or view.draft is None or _by_hand(view.state):
        return ""
    return "The controls were moved after Prune: what stands is not what they say."


def _recovered(view: View) -> str:
    state, tuning = view.state, view.recipe.tuning if view.recipe is not None else None
    curve = state.standing.curves.get("tuned")
    times = len({trained for trained in _path(state).values() if trained is not None})
    if times > 1:
        return f"The model was recovered {times} times; they recover it once."
    if curve is None or tuning is None or times == 0:
        return ""
    done = curve.training[-1][0] if curve.training else 0
    if done != tuning.steps:
        return f"The recovery came to {counted(done, 'step')}; they train {tuning.steps:,}."
    return ""


def _path(state: RunState) -> dict[str, str | None]:
    """The checkpoints from the one that stands back to the model as it was loaded, each with the one that made its weights."""
    found, at = {}, state.checkpoint
    while at is not None and at not in found:
        found[at] = state.weights.get(at)
        at = state.parents.get(at)
    return found


def _heads(many: int) -> str:
    return "one head was" if many == 1 else f"{many:,} heads were"
