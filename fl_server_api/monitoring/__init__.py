"""What programs that watch the server ask: does it live, is it ready, what goes on."""
