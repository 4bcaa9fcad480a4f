"""A plugged-in method: one decoder that sees a varying number of pixels, with a footnote below the table."""

from mtvae.config import Method

SHY = Method("shy", plain=False, samplers=("uniform",), power_law=True, footnote="the shy method's zero condition")
