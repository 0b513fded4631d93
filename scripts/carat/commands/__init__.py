"""The programs: each a module with `main`."""
