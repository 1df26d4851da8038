"""The Stackelberg game for pay, and its variants."""
