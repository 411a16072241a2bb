"""The environment, as containers fill it: a variable's value may be in a file, an empty one is none, lists need no JSON.

`NAME_FILE` names the file that holds what `NAME` would, as images have it for Docker's and Kubernetes' secrets.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource
from pydantic_settings.sources.utils import parse_env_vars

from toolgate.errors import Misconfigured

IN_FILE = "_FILE"


class Environment(Mapping[str, str]):
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        """
        Raises:
            KeyError: it is set in neither way.
            Misconfigured: its file cannot be read.
        """
        file = self._variables.get(name + IN_FILE)
        if not file or self._variables.get(name):
            return self._variables[name]
        try:
            return Path(file).read_text("utf-8").strip()
        except OSError as error:
            raise Misconfigured(f"the file that {name}{IN_FILE} names cannot be read: {error.strerror}") from None
        except ValueError:
            raise Misconfigured(f"the file that {name}{IN_FILE} names is not text in UTF-8") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


ENVIRONMENT = Environment(os.environ)


class Variables(EnvSettingsSource):
    """Settings in the environment, where a list may be `a` or `a,b`."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        names = [f"{self.env_prefix}{field}".upper() for field in self.settings_cls.model_fields]
        in_files = {name: ENVIRONMENT[name] for name in names if os.environ.get(name + IN_FILE)}
        return parse_env_vars({**os.environ, **in_files}, self.case_sensitive, self.env_ignore_empty, self.env_parse_none_str)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            if isinstance(value, str) and value[:1] not in "[{" and _is_list(field.annotation):
                return [part.strip() for part in value.split(",")]
            raise


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(get_origin(one) is tuple for one in get_args(annotation))


__all__ = ["ENVIRONMENT", "Environment", "Variables"]
