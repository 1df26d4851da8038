"""The press: turns notebooks into pages, and refuses to publish what is not whole."""
