"""Judges services.yml files by the JSON Schema that `minicluster schema` prints.

Reads the schema and a list of documents as one JSON object on standard input, and answers with one list of
messages a document.
"""

import json
import sys

import jsonschema

task = json.load(sys.stdin)
validator_class = jsonschema.validators.validator_for(task["schema"])
validator_class.check_schema(task["schema"])
validator = validator_class(task["schema"])
print(json.dumps([[error.message for error in validator.iter_errors(document)] for document in task["documents"]]))
