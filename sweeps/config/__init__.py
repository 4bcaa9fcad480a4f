"""From YAML to settings: what a configuration may say, and what it then means."""
