"""What the process counts of keys."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

made = Counter("annals_subject_keys_made_total", "Data keys of subjects made.")
destroyed = Counter("annals_subject_keys_destroyed_total", "Data keys of subjects destroyed.")
opened = Counter("annals_personal_values_opened_total", "Sealed personal values opened.", ["result"])
waiting = Gauge("annals_erasures_waiting", "Erasures whose keys are destroyed and whose end is not recorded yet.")
