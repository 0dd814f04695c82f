"""Seeded fault schedules: what a purge does while it is killed, cut off, starved and contradicted.

    tests/faults/run --backend sqlite --schedules 100 --seed 7

A schedule follows from (seed, backend, number) alone. ``schedule`` makes it, ``kinds`` are the faults, ``world`` is the
database and the purges of one schedule, ``checker`` compares what is left with the ``book`` the writers kept. Only
``zygote`` imports purgekit: the checker looks at the database through independent drivers.
"""
