"""What the hub and its cache refuse, each in one sentence that says what to do; fetches nothing."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engine.record.catalogue import BUILTIN, hub_cache, model_names
from engine.record.errors import BadInput, UnknownName, shorten


class NotWhole(Exception):
    """A file of a model is not there, or is not the one that the hub names; never leaves `engine.models`."""


@contextmanager
def in_a_sentence(hub_id: str, revision: str | None) -> Iterator[None]:
    """Inside, whatever the hub's client raises about a model becomes a `BadInput`."""
    name, hub = shorten(hub_id), constants.ENDPOINT
    try:
        yield
    except HFValidationError:
        raise UnknownName("model", hub_id, model_names()) from None
    except GatedRepoError as error:
        raise BadInput(
            f"The model {name} asks for permission; accept its terms on {hub}/{hub_id} and log in with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise BadInput(
            f"The model {name} is neither a folder here nor a public model on {hub}; check its name, or log in with "
            "`hf auth login` if it is private."
        ) from error
    except RevisionNotFoundError as error:
        raise BadInput(f"The model {name} has no revision {shorten(revision)}; leave it out for the main one.") from error
    except (IncompleteSnapshotError, NotWhole) as error:
        raise BadInput(
            f"Only a part of the model {name} is on this machine, and {_no_hub()}; connect to the network and load it again, "
            "what came already is kept."
        ) from error
    except LocalEntryNotFoundError as error:
        builtin = ", ".join(sorted(path.parent.name for path in BUILTIN.glob("*/config.json")))
        raise BadInput(
            f"The model {name} is not on this machine, and {_no_hub()}; connect to the network, or use a built-in one: {builtin}."
        ) from error
    except EntryNotFoundError as error:
        raise BadInput(f"The model {name} on {hub} is incomplete: {shorten(_first(error), 120)}.") from error
    except (HfHubHTTPError, HTTPError) as error:  # the second: a proxy or a connection that breaks off
        raise BadInput(
            f"The download of {name} from {hub} broke off ({type(error).__name__}: {shorten(_first(error), 120)}); what came is "
            "kept, load it again to go on."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise BadInput(no_room(hub_id)) from error
        raise BadInput(
            f"The model {name} could not be kept in {shorten(str(hub_cache()))} ({type(error).__name__}: "
            f"{shorten(_first(error), 120)}); load it again, or name another place in HF_HOME."
        ) from error


def no_room(hub_id: str, needed: int | None = None, free: int = 0) -> str:
    """For a disk that is full, or that `needed` bytes would fill."""
    room = f"takes {needed / 1e6:,.0f} MB more and {free / 1e6:,.0f} MB are free" if needed is not None else "filled the disk"
    return (
        f"The download of {shorten(hub_id)} {room} where {shorten(str(hub_cache()))} lies; make room there, or name "
        "another place in HF_HOME."
    )


def no_weights(hub_id: str, pickles: Sequence[str]) -> str:
    """For a model of the hub that has no safetensors; `pickles` are the weights that it has instead."""
    found = f"only {shorten(', '.join(pickles))}, which is a pickle or the like and is never opened" if pickles else "no weights"
    return (
        f"The model {shorten(hub_id)} on {constants.ENDPOINT} holds {found}; take one that has model.safetensors, or convert "
        "the weights first."
    )


def _no_hub() -> str:
    return "HF_HUB_OFFLINE keeps it off the network" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
