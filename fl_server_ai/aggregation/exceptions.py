class CannotAggregate(Exception):
    """The updates cannot be aggregated by the method, however often it is tried. The text is one plain sentence."""
