"""Whatever a client of the supervisor's control socket sends is read or refused."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from towline_supervisor.procfile import read_process
from towline_supervisor.spec import SpecErrors


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists)
    )
)
def test_any_table_is_read_or_refused(table: dict[str, object]) -> None:
    """Whatever a client sends, reading it gives a process or a list of mistakes, never another error."""
    try:
        read = read_process({"name": "a", "command": ["x"], **table}).command == ("x",)
    except SpecErrors as errors:
        read = bool(errors.mistakes)
    assert read
