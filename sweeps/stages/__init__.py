"""What a unit does: a stage of a configuration, carried out on one fold."""
