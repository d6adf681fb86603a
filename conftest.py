"""For pytest in the whole workspace.

pytest names the module of a test file after its folders, so `contracts/messages/tests` would make an empty module
`contracts` that hides the package of that name. Imported first, the package keeps its name.

Property tests draw the same examples on every machine, and none fails because a machine is slow.
"""

import contextlib

with contextlib.suppress(ModuleNotFoundError):  # not installed where a package that doesn't need it is tested alone
    import contracts  # noqa: F401

with contextlib.suppress(ModuleNotFoundError):
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "annals", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("annals")
