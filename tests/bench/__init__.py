"""Measures purgekit beside what people use instead, on the same rows, on private servers started here.

    tests/bench/run postgresql mariadb sqlite      # one table of results each; --list names all
    tests/bench/run sparse --rows 200000           # every dimension of the data is an option

``data`` makes the rows, ``place_*`` are the databases, ``contestants`` who deletes, ``measure`` is one run of one of
them, ``throughput`` and ``impact`` put runs together, ``report`` prints them. purgekit itself is only run as a command:
what is left in the tables is read by independent drivers.
"""
