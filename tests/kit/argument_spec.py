"""Validates cases as Ansible does: JSON lines {spec, values} in, {values, secrets} or {errors} out."""

import json
import math
import sys

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator


def representable(value):
    """Whether a value has an equal in this library's JSON: 64 bits, finite, keys that JSON can make strings of."""
    if isinstance(value, dict):
        return all(not isinstance(key, tuple) and representable(key) and representable(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(representable(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return isinstance(value, (str, type(None)))


for line in sys.stdin:
    case = json.loads(line)
    try:
        result = ArgumentSpecValidator(case["spec"]).validate(case["values"])
        if result.error_messages:
            answer = {"errors": result.error_messages}
        elif representable(result.validated_parameters):
            secrets = sorted(str(secret) for secret in result._no_log_values)
            answer = {"values": result.validated_parameters, "secrets": secrets}
        else:
            answer = {"beyond": repr(result.validated_parameters)}
    except Exception as error:  # what would end a Python module with a traceback
        answer = {"errors": [repr(error)]}
    print(json.dumps(answer))
