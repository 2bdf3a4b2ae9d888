"""The version, in the one place where the code reads it."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("nst")
except PackageNotFoundError:  # run from a checkout that was never installed
    VERSION = "unknown"
