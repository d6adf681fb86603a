"""For pytest in the whole workspace.

pytest names the module of a test file after its folders, so `contracts/messages/tests` would make an empty module
`contracts` that hides the package of that name. Imported first, the package keeps its name.
"""

import contextlib

with contextlib.suppress(ModuleNotFoundError):  # not installed where a package that doesn't need it is tested alone
    import contracts  # noqa: F401
