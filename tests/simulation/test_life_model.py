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
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from functions.charges import create
from local.postgres import Postgres
from tests.cloud import Cloud
from tests.conftest import Store, copied
from tests.simulation.choices import BEGINNINGS
from tests.simulation.life import Life
from tests.simulation.sandbox import Sandbox, sandbox

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
    try:
        with pytest.MonkeyPatch.context() as patch, sandbox(cloud, store, patch) as here:
            Life.take_place_in(here)
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
    """Tell stories with about so many operations; hypothesis may make them shorter."""
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


def test_a_story_told_again_goes_on_with_the_same_message(here: Sandbox) -> None:
    """Hypothesis counts on it. Which way Postgres goes to what is due depends on its statistics,
    which change when a vacuum comes by; this one leads along the hashes of random ids."""
    Life.take_place_in(here)
    for way in ("seqscan", "hashjoin", "mergejoin"):
        here.connection.execute(
            f"ALTER ROLE ivy_jobs IN DATABASE {here.platform.store.name} SET enable_{way} = off"
        )
    life = Life()
    life.begin(BEGINNINGS[0], ends_well=False)
    story, body = life.story, {"amount": 100, "currency": "USD", "payment_method": "tok_visa"}
    for _ in range(10):
        story.ask(create.handler, 0, body, partial(life.model.new_charge, life.number(0), body))
        story.move_clock(life.model.now + timedelta(seconds=1))
    story.inbox.clear()
    story.move_clock(life.model.now + timedelta(minutes=1))
    story.relay()
    assert [story.name_of(task) for task in story.inbox] == list(life.model.charges)
