"""Settings: ``base`` holds everything, ``development`` and ``production`` change what differs between them."""
