"""Training tasks on a chain: the market contract in a real Ethereum virtual machine, and the store beside it."""
