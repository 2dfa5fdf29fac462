"""Many trainings: grids over a recipe's entries, and what came of runs."""
