"""Random traces of calls, the same in every run: what both markets' machines are put through."""

import random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from deepfake_kit.chain.evm import TaskRefused


def run(machine, examples):
    """Fifty calls a trace; the first trace that fails is raised, not shrunk."""
    traces = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=traces)


def replay(machine, number):
    """The trace of this number: fifty calls, as its dice fall."""
    dice, one = random.Random(number), machine()
    one.open_market(dice.getrandbits(32))
    for _ in range(50):
        one.the_books_balance()
        one.call(dice.getrandbits(32))
    one.the_books_balance()
    one.teardown()


def catches(machine, code, first):
    """A trace that passes with the sound contract fails with this one; the search begins where one was last met."""
    planted = type("Planted", (machine,), {"CODE": code})
    for number in (first, *range(400)):
        try:
            replay(planted, number)
        except (AssertionError, TaskRefused, KeyError, TypeError):
            return replay(machine, number)
    pytest.fail("no trace meets the fault")
