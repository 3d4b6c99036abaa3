"""What all tests share."""

from hypothesis import HealthCheck, settings

# Tests run beside compilers and clusters on two cores: how fast examples are drawn says nothing about the code.
settings.register_profile("wattmark", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wattmark")
