"""The lifecycle of a training's rounds: opened, submitted to, due, claimed, closed. Every change of their rows."""
