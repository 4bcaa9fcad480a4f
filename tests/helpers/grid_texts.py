"""Hypothesis strategies for documents that look like grid files and are mostly wrong."""

from hypothesis import strategies as st

from sweeps.config.settings import FIELDS

SEARCH_WORDS = ["search", "base", "racing", "space", "constraints", "low", "high", "configurations", "rule", "metric"]
words = st.sampled_from([*FIELDS, *SEARCH_WORDS, "name", "grid", "data", "training", "folds", "model", "<<", "", "?"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | words
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(words, v, max_size=3), max_leaves=12)
documents = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("a") | scalars,
        "grid": st.lists(st.dictionaries(words, values, max_size=4), max_size=3) | scalars,
        "training": st.dictionaries(words, values, max_size=3) | scalars,
        "data.limit": scalars,
        "base": st.dictionaries(words, values, max_size=3) | scalars,
        "racing": st.just("forgiving") | st.dictionaries(words, values, max_size=3) | scalars,
        "search": st.fixed_dictionaries(
            {"configurations": st.just(3) | scalars},
            optional={
                "space": st.dictionaries(words, values | st.lists(scalars, max_size=3), max_size=3) | scalars,
                "constraints": st.dictionaries(words, st.just("<= 3") | scalars, max_size=2) | scalars,
                "metric": words,
                "each": words,
            },
        )
        | scalars,
    },
)
