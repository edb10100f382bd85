"""The page: shows a run and asks for what its controls say; holds no facts of its own and never imports torch."""

__all__ = ["Dashboard"]


def __getattr__(name: str):
    if name == "Dashboard":
        from widgets.dashboard import Dashboard

        return Dashboard
    raise AttributeError(f"module 'widgets' has no attribute {name!r}")
