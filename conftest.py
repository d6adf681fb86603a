"""For all tests: property tests draw the same examples on every machine, and none fails because a machine is slow."""

from contextlib import suppress

with suppress(ImportError):  # a package tested alone has only what it needs
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "annals", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("annals")
