"""The running demo, for the tests of the demo."""

from tests.demo_fixtures import checkpoints, demo, studio  # noqa: F401
