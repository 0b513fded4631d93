"""Files that people have, read without running anything in them: pickles, torch files, npz, csd, safetensors.

Shapes, as everywhere in this project: N samples, T time steps, F features of a step, C labels.
"""

# Here, so that the programs' help needs no NumPy.
MODALITIES = ("text", "visual", "audio")
FORMATS = ("splits", "m3ed", "csd", "npz")
