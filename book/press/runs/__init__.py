"""One chapter's run, from its source to what is kept of it; the commands ``run`` and ``reproduce``."""
