"""The running demo, for the tests of the demo."""

from tests.demo_fixtures import checkpoints, demo  # noqa: F401
