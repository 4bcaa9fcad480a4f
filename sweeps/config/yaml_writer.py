"""Writes settings as YAML that `yaml_reader` reads back as they were."""

import yaml

from sweeps.config.scalars import NUMBER
from sweeps.config.settings import Value


def settings_to_yaml(values: dict[str, Value], flow: bool | None) -> str:
    """Return settings as YAML, on one line (`flow`) or one line each.

    With None for `flow`, only lists and mappings of plain values are on one line.
    """
    values = {path: list(v) if isinstance(v, tuple) else v for path, v in values.items()}
    return yaml.dump(values, Dumper=_Dumper, default_flow_style=flow, sort_keys=False, width=10**6, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, changed so that our reader gets every text back as it was."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Put text with line breaks in quotes, with escapes; PyYAML's other styles lose some line breaks."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.represent_text)
# Text such as 1e5 needs quotes, because our reader takes it for a number.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))
