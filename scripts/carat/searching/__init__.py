"""Random and grid search over settings of the trainer, with Optuna: what is tried, how trials run, what came out."""
