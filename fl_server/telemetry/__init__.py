"""What a server tells those who run it: lines of the log, traces, error reports, heartbeats, figures."""
