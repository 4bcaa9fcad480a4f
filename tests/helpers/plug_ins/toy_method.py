"""A method of somebody else's: one decoder that sees a varying number of pixels, with a note below the table."""

from mtvae.config import Method

SHY = Method("shy", plain=False, samplers=("uniform",), power_law=True, footnote="the shy method's zero condition")
