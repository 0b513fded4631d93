"""The kinds of data sets that people have, a file each."""
