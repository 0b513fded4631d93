"""Runs as a page to look at: what is drawn, and the page itself."""
