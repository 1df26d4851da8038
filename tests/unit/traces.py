"""Random traces of calls, the same in every run: what both markets' machines are put through."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test


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
