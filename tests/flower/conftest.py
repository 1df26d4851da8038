"""Nothing here is for pytest: `make test-flower` runs it, in an environment that has Flower."""

collect_ignore_glob = ["*"]
