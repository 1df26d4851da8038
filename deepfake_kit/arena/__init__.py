"""The arena: forgers, detectors and defences that others wrote meet the book's own, each in a process of its own."""
