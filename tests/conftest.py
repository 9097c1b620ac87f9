"""How hard does hypothesis try? `--hypothesis-profile=thorough` tries harder."""

from hypothesis import HealthCheck, settings

# A busy machine is no fault of what is tested.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=25)
settings.register_profile("unhurried", unhurried)
settings.register_profile("thorough", unhurried, max_examples=1000)
settings.load_profile("unhurried")
