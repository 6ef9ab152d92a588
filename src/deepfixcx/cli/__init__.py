"""The command line: one file per subcommand, each a thin layer over the library.

Nothing heavy is imported before a command runs, so that ``--help`` is instant.
"""

from deepfixcx.cli.app import main

__all__ = ["main"]
