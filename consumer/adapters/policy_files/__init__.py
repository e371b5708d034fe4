"""Policies from YAML files: read, checked, and watched for changes.

`documents` knows YAML, `files` knows the file system and what was valid before. What may not enter: a meaning of
a field, which is `consumer.elastiservice`'s affair.
"""

from consumer.adapters.policy_files.files import PolicyFiles

__all__ = ["PolicyFiles"]
