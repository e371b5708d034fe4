"""What every test gets: a Hypothesis profile that is the same on every machine."""

from datetime import timedelta

from hypothesis import settings

# Deadlines time a shared machine, not the code; derandomised runs make a red build repeatable.
settings.register_profile("elasti", deadline=None, derandomize=True, max_examples=100)
# For `make fuzz`: other examples each time, and many of them; what fails is kept in .hypothesis and tried first. No
# single one takes seconds: one that takes a minute hangs, or will with a little more of the same.
settings.register_profile("fuzz", deadline=timedelta(minutes=1), max_examples=3_000)
settings.load_profile("elasti")
