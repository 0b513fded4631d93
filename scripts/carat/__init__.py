"""Tools around the trainer: data and weights in and out, sweeps, what was measured."""
