"""Any story of charges, refunds and disputes, told to Ivy and to a model in plain Python.

``IVY_SIMULATION=1000000 pytest tests/simulation/test_life_model.py`` tells a million operations
instead of twenty thousand; ``IVY_SEED`` repeats a run.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
import traceback
from collections import Counter
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import run_state_machine_as_test

from local.postgres import Postgres
from tests.cloud import Cloud
from tests.conftest import Store, copied
from tests.simulation.choices import OVERDRAFT_CENTS, PLANS
from tests.simulation.life import Life
from tests.simulation.sandbox import sandbox

EVERYDAY = 20_000
STEPS = 100
WORKERS = 2
"""Processes that tell stories at once, each on a database of its own."""


def test_any_life_is_what_the_model_says(cloud: Cloud, cluster: Postgres) -> None:
    wanted = int(os.environ.get("IVY_SIMULATION", EVERYDAY))
    seed = int(os.environ.get("IVY_SEED", random.SystemRandom().randrange(2**32)))
    started = time.monotonic()
    fork = multiprocessing.get_context("fork")
    done: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    problems = []
    with ExitStack() as stack:
        tellers = []
        for number in range(WORKERS):
            store = stack.enter_context(copied(cluster))
            here, there = fork.Pipe(duplex=False)
            work = (cloud, store, wanted // WORKERS, seed + number, there)
            teller = fork.Process(target=_tell_stories, args=work)
            teller.start()
            there.close()
            tellers.append((teller, here))
        for teller, here in tellers:
            told, ended, problem = here.recv()
            teller.join()
            done += told
            ends += ended
            problems += [problem] if problem else []
    seconds = time.monotonic() - started
    print(  # noqa: T201 - the record of the run
        f"\nIVY_SEED={seed}: {done.pop('operations')} operations in {seconds:.0f} s"
        f"\n{dict(done.most_common())}\n{dict(ends.most_common())}"
    )
    assert not problems, "\n".join(problems)


def _tell_stories(cloud: Cloud, store: Store, wanted: int, seed: int, pipe: Connection) -> None:
    """Tell stories until there were so many operations; runs in a process of its own."""
    problem = ""
    Life.counted, Life.ends = Counter(), Counter()
    try:
        with pytest.MonkeyPatch.context() as patch, sandbox(cloud, store, patch) as here:
            for account, plan, cents in zip(here.accounts, PLANS, OVERDRAFT_CENTS, strict=True):
                here.price(account, plan[0], cents)
            Life.sandbox, Life.holidays = here, here.holidays()
            while here.operations < wanted:
                _tell(seed, wanted - here.operations)
                seed += WORKERS
    except BaseException:  # noqa: BLE001 - whatever it is, the parent reports it
        problem = traceback.format_exc()
    finally:
        Life.counted["operations"] = here.operations
        pipe.send((Life.counted, Life.ends, problem))
        os._exit(0)


def _tell(seed: int, operations: int) -> None:
    """Tell stories with about so many operations; hypothesis may make them shorter.

    What can be drawn depends on what has happened, and on a very busy machine a time limit can
    fall otherwise when the same beginning is told twice. Hypothesis then gives up on the stories of
    this seed; that is no disagreement, and the next seed goes on. A disagreement is raised.
    """
    with suppress(FlakyStrategyDefinition):
        run_state_machine_as_test(
            hypothesis.seed(seed)(Life),
            settings=settings(
                max_examples=max(operations // STEPS, 2),
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
