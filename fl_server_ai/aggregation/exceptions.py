from fl_server_core.registry import Unsuitable


class CannotAggregate(Unsuitable):
    """The updates cannot be aggregated by the method, however often it is tried. The text is one plain sentence."""
