#!/usr/bin/python3
"""Runs for {{ web_seconds | default('ever', true) }}."""
import time
{% if web_seconds | default('') %}
time.sleep({{ web_seconds }})
raise SystemExit("bind: address already in use")
{% else %}
time.sleep(1 << 30)
{% endif %}
