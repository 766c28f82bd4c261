"""Ways of taking a training's curves to other tools."""
