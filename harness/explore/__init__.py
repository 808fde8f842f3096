"""How cases are chosen: today a seed that draws the named choices of a scenario."""
