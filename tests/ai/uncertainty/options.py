from __future__ import annotations

from fl_server_ai.uncertainty import UncertaintyOptions


def many(samples: int) -> UncertaintyOptions:
    """So many samples that statistics can be compared, perhaps more than a training may ask for."""
    return UncertaintyOptions.model_construct(N=samples)
