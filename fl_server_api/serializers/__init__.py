"""What requests may hold and what answers look like; a request and its answer have a serializer each."""
